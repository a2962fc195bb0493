package report

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/mail"
	"net/netip"
	"net/textproto"
	"strings"
	"time"

	"github.com/emersion/go-message"

	"github.com/postseal/postseal/internal/fault"
)

// FailureReport tells of one message that failed (RFC 6591 §3, RFC 9991 §4). Of the message itself only what is listed here is kept: failure reports carry other people's mail.
type FailureReport struct {
	Reporter  string // domain of the report's From
	Subject   string // of the report
	Arrived   time.Time
	SourceIP  string
	Domain    string   // Reported-Domain
	Failed    []string // Auth-Failure: dmarc, signature, bodyhash, spf, adsp, revoked
	Alignment string   // Identity-Alignment: none, or dkim, spf
	Delivery  string   // Delivery-Result

	DKIMDomain   string
	DKIMSelector string
	DKIMIdentity string
	SPFDNS       string
	Results      string // Authentication-Results of the reporter

	HeaderFrom string // domain of the message's From
	MessageID  string
}

// parseFailure reads a failure report: a whole mail, or the fields alone.
func parseFailure(raw []byte) (*FailureReport, error) {
	r := &FailureReport{}
	fields, original := r.mail(raw)
	if fields == nil {
		fields = readFields(raw)
	}
	if len(fields) == 0 {
		return nil, fault.New(fault.Invalid, "it is no failure report: it has no field such as Feedback-Type")
	}
	get := func(name string) string { return kept(fields.Get(name)) }
	if kind := strings.ToLower(get("Feedback-Type")); kind != "" && !strings.HasPrefix(kind, "auth-failure") {
		return nil, fault.New(fault.Invalid, "the feedback is about %q and not about authentication", kind)
	}
	r.SourceIP = get("Source-IP")
	if ip, err := netip.ParseAddr(r.SourceIP); err == nil {
		r.SourceIP = ip.Unmap().WithZone("").String()
	}
	r.Domain, r.Alignment, r.Delivery = domainOf(get("Reported-Domain")), strings.ToLower(get("Identity-Alignment")), strings.ToLower(get("Delivery-Result"))
	for word := range strings.FieldsFuncSeq(strings.ToLower(get("Auth-Failure")), func(c rune) bool { return c == ',' || c == ' ' }) {
		r.Failed = append(r.Failed, word)
	}
	r.DKIMDomain, r.DKIMSelector, r.DKIMIdentity = domainOf(get("DKIM-Domain")), domainOf(get("DKIM-Selector")), get("DKIM-Identity")
	r.SPFDNS, r.Results, r.MessageID = get("SPF-DNS"), get("Authentication-Results"), get("Message-ID")
	for _, name := range []string{"Arrival-Date", "Received-Date"} {
		if t, err := mail.ParseDate(get(name)); err == nil && r.Arrived.IsZero() {
			r.Arrived = t.UTC()
		}
	}
	if original != nil {
		r.HeaderFrom = fromDomain(original.Get("From"))
		if r.MessageID == "" {
			r.MessageID = kept(original.Get("Message-ID"))
		}
	}
	if r.Domain == "" {
		r.Domain = r.HeaderFrom
	}
	if r.SourceIP == "" && r.Domain == "" && r.DKIMDomain == "" {
		return nil, fault.New(fault.Invalid, "the failure report says neither whose mail it was nor where it came from")
	}
	return r, nil
}

// mail finds the fields of a report in a mail, and the header of the message that it is about; nil where there is none.
func (r *FailureReport) mail(raw []byte) (fields, original textproto.MIMEHeader) {
	entity, err := message.Read(bytes.NewReader(raw))
	if err != nil && entity == nil {
		return nil, nil
	}
	r.Reporter, r.Subject = fromDomain(entity.Header.Get("From")), kept(entity.Header.Get("Subject"))
	parts := 0
	err = entity.Walk(func(_ []int, part *message.Entity, err error) error {
		if parts++; parts > maxParts || part == nil {
			return errWalked
		}
		media, _, _ := part.Header.ContentType()
		if strings.HasPrefix(media, "multipart/") {
			return nil
		}
		body, _ := io.ReadAll(io.LimitReader(part.Body, maxFailure))
		switch {
		case fields == nil && (media == "message/feedback-report" || feedbackLine.Match(body)):
			fields = readFields(body)
		case original == nil && (media == "message/rfc822" || media == "text/rfc822-headers" || media == "message/rfc822-headers"):
			original = readFields(body)
		}
		return nil
	})
	if err != nil && !errors.Is(err, errWalked) && fields == nil {
		return nil, nil
	}
	return fields, original
}

var errWalked = errors.New("enough was seen")

// readFields reads header fields from where they begin, as far as they go. Names with spaces and lines without a colon are passed over.
func readFields(body []byte) textproto.MIMEHeader {
	if i := feedbackLine.FindIndex(body); i != nil {
		body = bytes.TrimLeft(body[i[0]:], "\r\n")
	}
	fields := make(textproto.MIMEHeader)
	var name string
	var value strings.Builder // of the field that is read; it may go on in the next line
	many := 0
	end := func() {
		if name != "" {
			fields[name] = append(fields[name], value.String())
			many++
		}
		name = ""
		value.Reset()
	}
	add := func(text string) {
		if room := maxField - value.Len(); len(text) > room {
			text = text[:room]
		}
		value.WriteString(text)
	}
	lines := bufio.NewScanner(bytes.NewReader(body))
	lines.Buffer(make([]byte, 0, sniffed), maxFailure)
	for lines.Scan() && many < maxFields {
		line := strings.TrimRight(lines.Text(), "\r")
		switch {
		case line == "" && many == 0 && name == "":
		case line == "":
			end()
			return fields
		case (line[0] == ' ' || line[0] == '\t') && name != "":
			add(" " + strings.TrimSpace(line))
		default:
			end()
			before, after, ok := strings.Cut(line, ":")
			if before = strings.TrimSpace(before); ok && before != "" && !strings.ContainsAny(before, " \t") {
				name = textproto.CanonicalMIMEHeaderKey(before)
				add(strings.TrimSpace(after))
			}
		}
	}
	end()
	return fields
}

// fromDomain is the domain of the first address in a field.
func fromDomain(field string) string {
	field = field[:min(len(field), maxField)]
	if list, err := mail.ParseAddressList(field); err == nil && len(list) > 0 {
		field = list[0].Address
	}
	_, domain, ok := strings.Cut(strings.Trim(strings.TrimSpace(field), "<>"), "@")
	if !ok {
		return ""
	}
	return domainOf(strings.Trim(domain, "> "))
}
