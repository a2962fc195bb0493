package web

import (
	"time"

	"github.com/postseal/postseal/internal/report"
)

const (
	// sessionIdle ends a session that nobody uses: a browser that was left open over lunch.
	sessionIdle = 30 * time.Minute
	// sessionLife ends any session: a working day.
	sessionLife = 12 * time.Hour
	// maxSessions is how many are open at once; the one that was used the longest ago gives way. An organisation has fewer administrators.
	maxSessions = 1000
	// maxSessionsOfOne is how many of these are of one user: nobody can take the others' places.
	maxSessionsOfOne = 20

	// maxAttempts is how often an address may fail to log in within attemptsWithin. Tokens have 256 bits and are not guessed: this keeps guessing from being work for
	// the database.
	maxAttempts    = 10
	attemptsWithin = 10 * time.Minute
	// maxAddresses is how many addresses failures are remembered of; the oldest are forgotten.
	maxAddresses = 4096
	// maxForm is the largest form that has no files, in octets: a token and a name.
	maxForm = 16 << 10
	// formWithin is how long such a form may take to arrive: whoever logs in is not known yet, and must not hold a connection for nothing.
	formWithin = 20 * time.Second

	// maxUpload is what one form with files may have in octets: four of the largest inputs, or some thousand reports as they usually are.
	maxUpload = 4 * report.MaxInput
	// maxUploadFiles is how many files it may have: what a person picks in a folder.
	maxUploadFiles = 1000
	// maxFileName is how much of a file's name is kept, in octets; as the API does.
	maxFileName = 255
	// uploadsAtOnce is how many forms with files are read side by side, each with one file in memory, and uploadsOfOne how many of these are of one user, so that a slow one does not keep
	// others from it.
	uploadsAtOnce = 4
	uploadsOfOne  = 2
	// uploadWaits is how long another one waits before it is told to come again.
	uploadWaits = 10 * time.Second

	// uploadWithin is how long a form with files may take to arrive: 256 MiB at some 300 kB a second.
	uploadWithin = 15 * time.Minute

	// maxListed is how many reports, rows or sources a page has.
	maxListed = 100
	// maxNamedDomains is how many domains are looked up for a user who may see only some of them.
	maxNamedDomains = 1000
	// maxDomainsShown is how many domains with reports the overview has, those with most messages first.
	maxDomainsShown = 50
	// maxPostmasterDays and maxDisagreements are how much of Google Postmaster Tools a summary has: a month of one domain.
	maxPostmasterDays = 31
	maxDisagreements  = 5
	// maxReporters is how many reporters are named.
	maxReporters = 20
	// maxSourcesBefore is how many sources are looked at to tell which are new.
	maxSourcesBefore = 1000
	// defaultSpan is the time that is asked about when none is named, and maxSpan the longest: what sums are kept for.
	defaultSpan = 30
	maxSpan     = 3 * 366
)
