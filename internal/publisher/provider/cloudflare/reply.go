package cloudflare

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/webapi"
)

// envelope is around every reply.
type envelope[T any] struct {
	Success bool     `json:"success"`
	Errors  []reason `json:"errors"`
	Result  T        `json:"result"`
	Info    struct {
		TotalPages int `json:"total_pages"`
	} `json:"result_info"`
}

type reason struct {
	Code    int      `json:"code"`
	Message string   `json:"message"`
	Chain   []reason `json:"error_chain"`
}

// The codes that say more than the status does.
var (
	credentials = []int{6003, 6111, 9106, 9107, 9109, 10000, 10001} // headers, keys and tokens that are not accepted
	standing    = []int{81053, 81054, 81057, 81058}                 // another record keeps this one out
)

// call sends a request and opens the envelope.
func call[T any](ctx context.Context, client *webapi.Client, r webapi.Request) (envelope[T], error) {
	var e envelope[T]
	if _, err := client.Do(ctx, r, &e); err != nil {
		return e, err
	}
	if !e.Success {
		return e, client.Refusal(problem(http.StatusOK, e.Errors))
	}
	return e, nil
}

func explain(status int, body []byte) webapi.Problem {
	var e envelope[json.RawMessage]
	if json.Unmarshal(body, &e) != nil {
		return webapi.Problem{}
	}
	return problem(status, e.Errors)
}

func problem(status int, reasons []reason) webapi.Problem {
	var out webapi.Problem
	var said []string
	for _, r := range reasons {
		for _, r := range append([]reason{r}, r.Chain...) {
			said = append(said, fmt.Sprintf("%s [%d]", r.Message, r.Code))
			switch {
			case status == http.StatusTooManyRequests || status >= 500:
			case slices.Contains(credentials, r.Code):
				out.Code = fault.Denied
			case slices.Contains(standing, r.Code):
				out.Code = fault.Conflict
			}
		}
	}
	out.Message = strings.Join(said, "; ")
	return out
}
