// Package web is the console: pages that the control plane renders, on the listener of the API, below /console/. It asks the capabilities and not the API, and has the
// same limits: roles, and the labels of domains.
//
// A page has no script and loads nothing from elsewhere; its Content-Security-Policy says so to the browser as well. Whatever came from a report, from DNS or from a
// person is text (html/template). A session is kept in memory together with the access token that it was opened with, and the token is asked for its owner at each
// request: a token that is revoked ends its sessions at once, and a restart of serve ends all of them.
//
// Files in the order of a request: limits.go (every bound), web.go (Console: routes, headers, who asks), attempts.go and session.go (who gets in, for how long),
// login.go, page.go (templates and errors), overview.go (reports), upload.go and uploads.go (handing in), report.go (one report), domain.go (summary and sources of a domain), postmaster.go (the second witness).
package web
