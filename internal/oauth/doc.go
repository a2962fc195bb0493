// Package oauth gets the access tokens that a mailbox is opened with where its server takes no passwords (RFC 6749; the logging in itself, RFC 7628 and XOAUTH2, is the business of who
// holds the connection). A credential names a JSON text of one of three types: client_credentials, refresh_token, or the service_account that Google hands out.
//
// It promises that a token is kept until shortly before its end, that a refresh token which the server exchanges is not lost as long as the process runs, nor beyond it where the
// credential is a file of ours, and that no secret stands in an error or a log.
//
// Files, in the order of the flow: mailbox.go (the tokens of one mailbox), credential.go (the JSON text), grant.go (asking for a token), refusal.go (what it means that there is none).
package oauth
