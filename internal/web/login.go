package web

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/access"
	"github.com/postseal/postseal/internal/fault"
)

// loginForm is what the page for logging in shows.
type loginForm struct {
	Next    string
	Problem string
	Hint    string
}

func (c *Console) loginPage(w http.ResponseWriter, r *http.Request) {
	form := loginForm{Next: ownPath(r.URL.Query().Get("next"))}
	if r.URL.Query().Has("over") {
		form.Problem = "The session is over; what was sent has not been done."
	}
	c.show(w, r, http.StatusOK, "login", view{Title: "Log in", Data: form})
}

func (c *Console) login(w http.ResponseWriter, r *http.Request) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(formWithin)) // what has no connection needs none
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	refuse := func(status int, err error) {
		message, hint := fault.Show(err)
		c.show(w, r, status, "login", view{Title: "Log in", Data: loginForm{Next: ownPath(r.PostFormValue("next")), Problem: sentence(message), Hint: hint}})
	}
	if err := r.ParseForm(); err != nil {
		refuse(http.StatusBadRequest, fault.New(fault.Invalid, "the form cannot be read"))
		return
	}
	from := addressOf(r)
	if wait := c.attempts.Begin(from); wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)+1))
		refuse(http.StatusTooManyRequests, fault.New(fault.Unavailable, "too many attempts to log in came from this address").WithHint("try again in %d minutes", int((wait+time.Minute-1)/time.Minute)))
		return
	}
	token := strings.TrimSpace(r.PostFormValue("token"))
	who, err := c.access.Authenticate(r.Context(), token)
	switch {
	case fault.CodeOf(err) == fault.Unauthenticated:
		c.log.WarnContext(r.Context(), "somebody failed to log in at the console", "from", from.Addr())
		refuse(http.StatusUnauthorized, err)
		return
	case err != nil: // of ours, and no guess
		c.attempts.Undo(from)
		c.fail(w, r, access.Principal{}, err)
		return
	}
	c.attempts.Succeed(from)
	if old, err := r.Cookie(cookieName); err == nil {
		c.sessions.Close(old.Value)
	}
	http.SetCookie(w, &http.Cookie{Name: cookieName, Value: c.sessions.Open(who.Name, token), Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode})
	c.log.InfoContext(r.Context(), "somebody logged in at the console", "user", who.Name, "from", from.Addr())
	http.Redirect(w, r, ownPath(r.PostFormValue("next")), http.StatusSeeOther)
}

func (c *Console) logout(w http.ResponseWriter, r *http.Request) {
	if cookie, err := r.Cookie(cookieName); err == nil {
		c.sessions.Close(cookie.Value)
	}
	forget(w)
	http.Redirect(w, r, Root+"login", http.StatusSeeOther)
}

// forget takes the cookie back.
func forget(w http.ResponseWriter) {
	http.SetCookie(w, &http.Cookie{Name: cookieName, Path: "/", MaxAge: -1, Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode})
}

// nextQuery says where somebody wanted to go before logging in.
func nextQuery(u *url.URL) string { return url.Values{"next": {u.RequestURI()}}.Encode() }

// ownPath is a place of the console to go to, its root when the text names another one: a link must not lead elsewhere by way of the login.
func ownPath(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || !strings.HasPrefix(u.Path, Root) || u.Path == Root+"login" || u.Path == Root+"logout" || strings.Contains(u.Path, "..") || strings.ContainsAny(text, "\\\r\n") {
		return Root
	}
	return u.RequestURI()
}
