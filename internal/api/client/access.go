package client

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/postseal/postseal/internal/fault"
)

// requestTime bounds one request: applying a document with thousands of domains is the longest.
const requestTime = 5 * time.Minute

// Access says where a control plane is, how to trust it, and as whom to speak. It is what admin.json holds.
type Access struct {
	URL   string `json:"url"`
	Token string `json:"token"`
	// CA is a PEM bundle; when it is set, only certificates of these authorities are accepted. Empty = the system's.
	CA string `json:"ca"`
}

// AdminFile is the name of the local administrator's file in the data directory of serve.
const AdminFile = "admin.json"

// DefaultDataDirs are where serve keeps its data when nobody says otherwise, in the order in which they are tried.
func DefaultDataDirs() []string {
	dirs := []string{"/var/lib/postseal"}
	if dir := os.Getenv("STATE_DIRECTORY"); dir != "" {
		dirs = append([]string{dir}, dirs...)
	}
	return dirs
}

// ReadAdmin reads the local administrator's file in a data directory; fault.NotFound when there is none.
func ReadAdmin(dir string) (Access, error) {
	path := filepath.Join(dir, AdminFile)
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Access{}, fault.Wrap(fault.NotFound, err, "there is no %s", path).
			WithHint("serve writes it when it starts: name its data directory with --data; from elsewhere give --url and --token-file, or POSTSEAL_URL and POSTSEAL_TOKEN")
	}
	if err != nil {
		return Access{}, fault.Wrap(fault.Denied, err, "%s cannot be read", path).WithHint("run this as the user that serve runs as")
	}
	var a Access
	if err := json.Unmarshal(raw, &a); err != nil {
		return Access{}, fault.Wrap(fault.Invalid, err, "%s does not parse", path).WithHint("remove it and restart serve, which writes it anew")
	}
	return a, nil
}

// New returns a client.
func New(a Access) (*Client, error) {
	base, err := url.Parse(a.URL)
	if err != nil || base.Host == "" || base.Scheme != "https" && base.Scheme != "http" {
		return nil, fault.New(fault.Invalid, "%q is not the address of a control plane", a.URL).WithHint("https://HOST:PORT")
	}
	if base.Scheme == "http" && !loopback(base.Hostname()) {
		return nil, fault.New(fault.Invalid, "the token would travel in clear to %s", base.Host).WithHint("use https://")
	}
	if a.Token == "" {
		return nil, fault.New(fault.Unauthenticated, "there is no access token for %s", base).
			WithHint("--token-file, POSTSEAL_TOKEN, or --data with the directory of serve")
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if a.CA != "" {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM([]byte(a.CA)) {
			return nil, fault.New(fault.Invalid, "the authority for %s is not a PEM certificate", base)
		}
	}
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true, Proxy: http.ProxyFromEnvironment,
		TLSHandshakeTimeout: 10 * time.Second, IdleConnTimeout: time.Minute}
	return &Client{base: base, token: a.Token, http: &http.Client{
		Transport: transport, Timeout: requestTime,
		// The API never redirects, and a token must not follow one.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Close lets go of idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

func loopback(host string) bool {
	return host == "localhost" || host == "127.0.0.1" || host == "::1"
}
