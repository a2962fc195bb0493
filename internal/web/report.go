package web

import (
	"context"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/postseal/postseal/internal/access"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/report"
)

// reportPage is one document and a page of its rows.
type reportPage struct {
	report.Detail
	Policy  string
	Verdict string // why it is trusted or not
	Raw     bool   // its input can be had as it arrived
	Rows    []rowLine
	From    int    // the first row shown, counted from 1
	Next    string // link to the next rows; "" = these are the last
}

// rowLine is a row of a report and whose it is.
type rowLine struct {
	Source      string
	Messages    int64
	Disposition string
	DKIM, SPF   bool
	HeaderFrom  string
	Signatures  []string
	SPFResults  []string
	Reasons     []string
	Who         string
	How         report.Confidence
}

func (c *Console) report(w http.ResponseWriter, r *http.Request, who access.Principal) error {
	ctx, id := r.Context(), r.PathValue("id")
	d, err := c.reportDetail(ctx, who, id)
	if err != nil {
		return err
	}
	out := reportPage{Detail: d, Policy: report.PolicyText(d.Policy)}
	inputs, err := c.reports.Inputs(ctx, report.InputFilter{ID: d.Input, Limit: 1})
	if err != nil {
		return err
	}
	for _, x := range inputs {
		out.Verdict, out.Raw = x.Verdict, x.Kept && mayRead(who) == nil
	}
	from := 0
	if text := r.URL.Query().Get("from"); text != "" {
		if from, err = strconv.Atoi(text); err != nil || from < 0 {
			return fault.New(fault.Invalid, "%q is no number of a row", text)
		}
	}
	rows, err := c.reports.Rows(ctx, id, from, maxListed+1)
	if err != nil {
		return err
	}
	known, err := c.reports.Directory(ctx)
	if err != nil {
		return err
	}
	out.From = from + 1
	if len(rows) > maxListed {
		rows = rows[:maxListed]
		out.Next = "?" + url.Values{"from": {strconv.Itoa(from + maxListed)}}.Encode()
	}
	for i := range rows {
		out.Rows = append(out.Rows, rowOf(&rows[i], known.AttributeStored(&d, &rows[i])))
	}
	c.show(w, r, http.StatusOK, "report", viewOf(who, "Report", out))
	return nil
}

// reportDetail reads a report that somebody may see.
func (c *Console) reportDetail(ctx context.Context, who access.Principal, id string) (report.Detail, error) {
	d, err := c.reports.Report(ctx, id)
	if err != nil {
		return d, err
	}
	if len(who.Labels) == 0 {
		return d, nil
	}
	known, err := c.reports.Directory(ctx)
	if err != nil {
		return d, err
	}
	if !d.Narrow(known, func(domain string) bool { _, err := c.domain(ctx, who, domain); return err == nil }) {
		return d, fault.New(fault.NotFound, "there is no report %s", id)
	}
	return d, nil
}

// mayRead says who may have inputs as they arrived: as in the API, an operator who may see every domain, because a mail may hold reports about any.
func mayRead(who access.Principal) error { return everywhere(who, "read inputs as they arrived") }

// rawReport hands out the input of a report, to be kept and not to be shown: strangers wrote it.
func (c *Console) rawReport(w http.ResponseWriter, r *http.Request, who access.Principal) error {
	d, err := c.reportDetail(r.Context(), who, r.PathValue("id"))
	if err == nil {
		err = mayRead(who)
	}
	if err != nil {
		return err
	}
	arrival, err := c.reports.Octets(r.Context(), d.Input)
	if err != nil {
		return err
	}
	c.log.InfoContext(r.Context(), "an input was handed out as it arrived", "user", who.Name, "input", d.Input)
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Length", strconv.Itoa(len(arrival.Octets)))
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": rawName(d.Input, arrival.Name)}))
	_, _ = w.Write(arrival.Octets) // the browser went away when this fails
	return nil
}

// rawName is the name that an input is kept under: its own id, with what the name that it came with ends in when that is harmless.
func rawName(id, name string) string {
	for _, end := range []string{".xml.gz", ".json.gz", ".xml", ".json", ".gz", ".zip", ".eml"} {
		if strings.HasSuffix(strings.ToLower(name), end) {
			return id + end
		}
	}
	return id
}

func rowOf(r *report.StoredRow, x report.Attribution) rowLine {
	out := rowLine{Source: r.SourceIP, Messages: r.Count, Disposition: r.Disposition, DKIM: string(r.DKIM) == "pass", SPF: string(r.SPF) == "pass", HeaderFrom: r.HeaderFrom, Who: sender(x), How: x.How}
	if r.Source.IsValid() {
		out.Source = r.Source.String()
	}
	for _, s := range r.DKIMResults {
		out.Signatures = append(out.Signatures, spaced(s.Selector+"@"+s.Domain, s.Result, s.Human))
	}
	for _, s := range r.SPFResults {
		out.SPFResults = append(out.SPFResults, spaced(s.Domain, s.Result, s.Human))
	}
	for _, s := range r.Reasons {
		out.Reasons = append(out.Reasons, spaced(s.Type, s.Comment))
	}
	return out
}

// sender says whose mail something is. Mail with our signature from an address that is not ours was passed on.
func sender(x report.Attribution) string {
	switch {
	case x.Signer.Name == "":
		return ""
	case x.Source.Name == "" && x.Signer.Kind != "service":
		return x.Signer.Name + ", passed on"
	}
	return x.Signer.Name
}

func spaced(words ...string) string {
	return strings.Join(strings.Fields(strings.Join(words, " ")), " ")
}
