package web

import (
	"crypto/rand"
	"crypto/sha256"
	"sync"
	"time"
)

// sessions are the browsers that have logged in. They are kept here and not by a library: a session is a token and two times, and the clock is the caller's. It is safe
// for concurrent use.
type sessions struct {
	now func() time.Time

	mu   sync.Mutex
	open map[[sha256.Size]byte]*session // by the hash of the cookie's value
}

type session struct {
	user         string
	token        string // the access token that it was opened with
	opened, used time.Time
}

func newSessions(now func() time.Time) *sessions {
	return &sessions{now: now, open: map[[sha256.Size]byte]*session{}}
}

// Open opens a session of a user and returns the cookie's value. Where a user, or all of them together, have too many, the one that was used the longest ago gives way.
func (s *sessions) Open(user, token string) string {
	value := rand.Text()
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep(now)
	s.makeRoom(maxSessionsOfOne, func(x *session) bool { return x.user == user })
	s.makeRoom(maxSessions, func(*session) bool { return true })
	s.open[sha256.Sum256([]byte(value))] = &session{user: user, token: token, opened: now, used: now}
	return value
}

// makeRoom leaves less than so many sessions of a kind.
func (s *sessions) makeRoom(most int, kind func(*session) bool) {
	for {
		var oldest [sha256.Size]byte
		var used time.Time
		n := 0
		for id, x := range s.open {
			if !kind(x) {
				continue
			}
			if n++; used.IsZero() || x.used.Before(used) {
				oldest, used = id, x.used
			}
		}
		if n < most {
			return
		}
		delete(s.open, oldest)
	}
}

// Token returns the token of an open session, which counts as used now.
func (s *sessions) Token(value string) (token string, ok bool) {
	now, id := s.now(), sha256.Sum256([]byte(value))
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.open[id]
	if x == nil {
		return "", false
	}
	if x.over(now) {
		delete(s.open, id)
		return "", false
	}
	x.used = now
	return x.token, true
}

// Close ends a session.
func (s *sessions) Close(value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, sha256.Sum256([]byte(value)))
}

func (s *sessions) sweep(now time.Time) {
	for id, x := range s.open {
		if x.over(now) {
			delete(s.open, id)
		}
	}
}

func (x *session) over(now time.Time) bool {
	return now.Sub(x.used) >= sessionIdle || now.Sub(x.opened) >= sessionLife
}
