package fakedns

import "github.com/miekg/dns"

// Query is one question that reached a server, whether it was answered or not.
type Query struct {
	Server string // host name of the server; "recursive1" for the first recursive one
	Name   string // lower case, no trailing dot
	Type   string
	TCP    bool
}

// record notes a query. The caller holds the lock.
func (n *Net) record(s *Server, req *dns.Msg, tcp bool) {
	q := req.Question[0]
	n.log = append(n.log, Query{Server: s.name, Name: canonical(q.Name), Type: dns.TypeToString[q.Qtype], TCP: tcp})
}

// Queries returns all queries so far, oldest first.
func (n *Net) Queries() []Query {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]Query(nil), n.log...)
}

// Count counts the queries to a server for a name and type; an empty argument stands for any.
func (n *Net) Count(server, name, rrtype string) int {
	count := 0
	for _, q := range n.Queries() {
		if (server == "" || q.Server == server) && (name == "" || q.Name == canonical(name)) && (rrtype == "" || q.Type == rrtype) {
			count++
		}
	}
	return count
}

// Forget empties the log.
func (n *Net) Forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.log = nil
}
