package providertest

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/libdns/libdns"

	"github.com/postseal/postseal/internal/publisher"
)

// start runs a stand-in on loopback, under the weather of its host, for the time of the test.
func start(t *testing.T, host *Host, api http.Handler) (*Weather, string) {
	t.Helper()
	weather := host.Under(api)
	server := httptest.NewUnstartedServer(weather)
	server.Config.ErrorLog = quiet()
	server.Start()
	t.Cleanup(server.Close)
	return weather, server.URL
}

// closed is a loopback address where nobody listens at this moment.
func closed(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// JSON answers as an API does.
func JSON(rw http.ResponseWriter, status int, value any) {
	rw.Header().Set("Content-Type", "application/json")
	rw.WriteHeader(status)
	if status != http.StatusNoContent {
		json.NewEncoder(rw).Encode(value)
	}
}

// Body reads a request as JSON; nothing else may be in it than the stand-in knows.
func Body[T any](r *http.Request) (T, error) {
	var out T
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	err := d.Decode(&out)
	return out, err
}

// Page cuts a list into pages as APIs do. more says whether there is a next one, which is always so on an endless day.
func Page[T any](h *Host, list []T, number, size int) (page []T, pages int, more bool) {
	pages = max(1, (len(list)+size-1)/size)
	from := min(max(number-1, 0)*size, len(list))
	page = list[from:min(from+size, len(list))]
	if h.EndlessPages() {
		return page, number + 1, true
	}
	return page, pages, number < pages
}

// Get implements publisher.Provider.
func (p paced) Get(ctx context.Context, zone, name string) ([]libdns.Record, error) {
	p.clock.Pass(p.pace)
	return p.Provider.Get(ctx, zone, name)
}

// Set implements publisher.Provider.
func (p paced) Set(ctx context.Context, zone string, c publisher.Change) (publisher.Outcome, error) {
	p.clock.Pass(p.pace)
	return p.Provider.Set(ctx, zone, c)
}
