package postmaster

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/webapi"
)

// traffic is the API's TrafficStats as far as it matters here.
type traffic struct {
	Name       string   `json:"name"` // domains/NAME/trafficStats/20261127
	DKIM       *float64 `json:"dkimSuccessRatio"`
	SPF        *float64 `json:"spfSuccessRatio"`
	DMARC      *float64 `json:"dmarcSuccessRatio"`
	Spam       *float64 `json:"userReportedSpamRatio"`
	Reputation string   `json:"domainReputation"`
	Errors     []struct {
		Class string  `json:"errorClass"`
		Type  string  `json:"errorType"`
		Ratio float64 `json:"errorRatio"`
	} `json:"deliveryErrors"`
}

// day checks what the API says.
func (t traffic) day(domain string) (Day, error) {
	name, date, found := strings.Cut(strings.TrimPrefix(t.Name, "domains/"), "/trafficStats/")
	if !found || plain(name) != domain {
		return Day{}, odd(domain, "the answer is about %.100q", t.Name)
	}
	at, err := time.Parse(compact, date)
	if err != nil {
		return Day{}, odd(domain, "%.20q is no date", date)
	}
	d := Day{Domain: domain, Date: at, DKIM: t.DKIM, SPF: t.SPF, DMARC: t.DMARC, Spam: t.Spam}
	for _, share := range []*float64{t.DKIM, t.SPF, t.DMARC, t.Spam} {
		if share != nil && !isShare(*share) {
			return Day{}, odd(domain, "a share is %v", *share)
		}
	}
	if t.Reputation != "REPUTATION_CATEGORY_UNSPECIFIED" {
		d.Reputation = word(t.Reputation)
	}
	if len(t.Errors) > maxErrors {
		return Day{}, odd(domain, "there are %d kinds of delivery errors", len(t.Errors))
	}
	for _, e := range t.Errors {
		if !isShare(e.Ratio) {
			return Day{}, odd(domain, "a share is %v", e.Ratio)
		}
		if e.Ratio > 0 {
			d.Errors = append(d.Errors, DeliveryError{word(e.Class), word(e.Type), e.Ratio})
		}
	}
	d.sorted()
	return d, nil
}

// traffic asks version 1 for the days from one up to, and without, another one.
func (c *Client) traffic(ctx context.Context, domain string, from, until time.Time) ([]Day, error) {
	query := url.Values{}
	addDate(query, "startDate", from) // inclusive
	addDate(query, "endDate", until)  // exclusive
	token := ""
	found, err := webapi.Pages(ctx, c.http, func(ctx context.Context, _ int) ([]traffic, bool, error) {
		var page struct {
			Stats []traffic `json:"trafficStats"`
			Next  string    `json:"nextPageToken"`
		}
		_, err := c.http.Do(ctx, webapi.Request{Method: http.MethodGet, Path: c.version + "/domains/" + url.PathEscape(domain) + "/trafficStats", Query: paged(query, token)}, &page)
		token = page.Next
		return page.Stats, token != "", err
	})
	if err != nil {
		return nil, err
	}
	var days []Day
	for _, t := range found {
		d, err := t.day(domain)
		if err != nil {
			return nil, err
		}
		days = append(days, d)
	}
	return days, nil
}

// addDate adds a date in the form of google.type.Date.
func addDate(query url.Values, name string, date time.Time) {
	query.Set(name+".year", strconv.Itoa(date.Year()))
	query.Set(name+".month", strconv.Itoa(int(date.Month())))
	query.Set(name+".day", strconv.Itoa(date.Day()))
}
