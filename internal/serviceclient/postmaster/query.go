package postmaster

import (
	"context"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/webapi"
)

// queryPage is the most that version 2 gives at once.
const queryPage = 200

// reasons are those of delivery errors that version 2 can be asked for. stamp_policy_error is what the policy of the domain wants, DMARC among it.
func reasons() map[string][]string {
	return map[string][]string{
		"reject":    {"bad_attachment", "bad_or_missing_ptr_record", "ip_in_rbls", "low_domain_reputation", "low_ip_reputation", "spammy_content", "stamp_policy_error", "other"},
		"temp_fail": {"anomalous_traffic_pattern", "other"},
	}
}

// metric is one figure that is asked for; name comes back with its values.
type metric struct {
	Name string `json:"name"`
	Base struct {
		Standard string `json:"standardMetric"`
	} `json:"baseMetric"`
	Filter string `json:"filter,omitempty"`
}

// apiDate is google.type.Date.
type apiDate struct {
	Year  int `json:"year"`
	Month int `json:"month"`
	Day   int `json:"day"`
}

func toDate(t time.Time) apiDate { return apiDate{t.Year(), int(t.Month()), t.Day()} }

// value is one figure of one day.
type value struct {
	Date   apiDate `json:"date"`
	Metric string  `json:"metric"`
	Value  struct {
		Double *number `json:"doubleValue"`
		Float  *number `json:"floatValue"`
	} `json:"value"`
}

// number is a number in the JSON of protocol buffers, which may be "NaN" or "Infinity".
type number float64

func (n *number) UnmarshalJSON(text []byte) error {
	v, err := strconv.ParseFloat(strings.Trim(string(text), `"`), 64)
	*n = number(v)
	return err
}

// metrics are all figures that a Day has.
func metrics() (all []metric) {
	add := func(name, standard, filter string) {
		m := metric{Name: name, Filter: filter}
		m.Base.Standard = standard
		all = append(all, m)
	}
	for _, auth := range []string{"dkim", "spf", "dmarc"} {
		add(auth, "AUTH_SUCCESS_RATE", `auth_type = "`+auth+`"`)
	}
	add("spam", "SPAM_RATE", "")
	for _, kind := range []string{"reject", "temp_fail"} {
		for _, reason := range reasons()[kind] {
			add(kind+"_"+reason, "DELIVERY_ERROR_RATE", `error_type = "`+kind+`" AND error_reason = "`+reason+`"`)
		}
	}
	return all
}

// query asks version 2 for the days from one up to, and without, another one.
func (c *Client) query(ctx context.Context, domain string, from, until time.Time) ([]Day, error) {
	type span struct {
		Start apiDate `json:"start"` // both inclusive
		End   apiDate `json:"end"`
	}
	var body struct {
		Metrics []metric `json:"metricDefinitions"`
		Time    struct {
			Ranges struct {
				Ranges []span `json:"dateRanges"`
			} `json:"dateRanges"`
		} `json:"timeQuery"`
		Size        int    `json:"pageSize"`
		Token       string `json:"pageToken,omitempty"`
		Granularity string `json:"aggregationGranularity"`
	}
	body.Metrics, body.Size, body.Granularity = metrics(), queryPage, "DAILY"
	body.Time.Ranges.Ranges = []span{{toDate(from), toDate(until.AddDate(0, 0, -1))}}
	found, err := webapi.Pages(ctx, c.http, func(ctx context.Context, _ int) ([]value, bool, error) {
		var page struct {
			Stats []value `json:"domainStats"`
			Next  string  `json:"nextPageToken"`
		}
		_, err := c.http.Do(ctx, webapi.Request{Method: http.MethodPost, Path: c.version + "/domains/" + url.PathEscape(domain) + "/domainStats:query", Body: body}, &page)
		body.Token = page.Next
		return page.Stats, body.Token != "", err
	})
	if err != nil {
		return nil, err
	}
	return daysOf(domain, found)
}

// daysOf puts the figures of each day together.
func daysOf(domain string, found []value) ([]Day, error) {
	days := map[time.Time]*Day{}
	said := map[time.Time]map[string]bool{}
	var order []time.Time
	for _, v := range found {
		date := time.Date(v.Date.Year, time.Month(v.Date.Month), v.Date.Day, 0, 0, 0, 0, time.UTC)
		if toDate(date) != v.Date {
			return nil, odd(domain, "%d-%d-%d is no date", v.Date.Year, v.Date.Month, v.Date.Day)
		}
		d := days[date]
		if d == nil {
			d = &Day{Domain: domain, Date: date}
			days[date], said[date], order = d, map[string]bool{}, append(order, date)
		}
		n := v.Value.Double
		if n == nil {
			n = v.Value.Float
		}
		if n == nil || math.IsNaN(float64(*n)) || said[date][v.Metric] {
			continue // no mail to have a share of
		}
		share := float64(*n)
		if !isShare(share) {
			return nil, odd(domain, "the share %.40q is %v", v.Metric, share)
		}
		said[date][v.Metric] = true
		d.set(v.Metric, share)
	}
	out := make([]Day, 0, len(order))
	for _, date := range order {
		days[date].sorted()
		out = append(out, *days[date])
	}
	return out, nil
}

// set keeps the figure of one metric; what was not asked for is passed over.
func (d *Day) set(name string, share float64) {
	switch name {
	case "dkim":
		d.DKIM = &share
	case "spf":
		d.SPF = &share
	case "dmarc":
		d.DMARC = &share
	case "spam":
		d.Spam = &share
	default:
		for kind, class := range map[string]string{"reject": "PERMANENT_ERROR", "temp_fail": "TEMPORARY_ERROR"} {
			for _, reason := range reasons()[kind] {
				if name == kind+"_"+reason && share > 0 {
					d.Errors = append(d.Errors, DeliveryError{class, strings.ToUpper(reason), share})
				}
			}
		}
	}
}
