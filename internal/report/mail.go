package report

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset" // mail in other encodings

	"github.com/postseal/postseal/internal/fault"
)

// mail looks at the parts of a mail. What is an attachment and what is not, its octets say.
func (o *opener) mail(name string, data []byte, wraps int) {
	before := len(o.documents) + len(o.problems)
	entity, err := message.Read(bytes.NewReader(data))
	if err != nil && !message.IsUnknownCharset(err) && !message.IsUnknownEncoding(err) {
		o.failed(name, fault.Wrap(fault.Invalid, err, "the mail cannot be read: %v", err))
		return
	}
	if isFailureReport(data, entity) {
		o.document(Document{name, failureDocument, func() io.Reader { return bytes.NewReader(data) }})
		return
	}
	o.entity(name, entity, wraps)
	if len(o.documents)+len(o.problems) == before {
		o.problem(name, "there is no report in this mail (subject %q)", kept(entity.Header.Get("Subject")))
	}
}

// isFailureReport reports whether a mail tells of one message (RFC 6591 §3): as multipart/report, or with the fields in a text.
func isFailureReport(data []byte, entity *message.Entity) bool {
	media, params, _ := entity.Header.ContentType()
	if media == "multipart/report" && strings.EqualFold(params["report-type"], "feedback-report") {
		return true
	}
	return feedbackLine.Match(data[:min(len(data), maxFailure)]) && bytes.Contains(bytes.ToLower(data), []byte("auth-fail"))
}

// entity looks at a part and those within it.
func (o *opener) entity(name string, e *message.Entity, wraps int) {
	if o.parts++; o.parts > maxParts {
		if o.parts == maxParts+1 {
			o.problem(name, "the mail has more than %d parts; the others were not read", maxParts)
		}
		return
	}
	media, params, _ := e.Header.ContentType()
	if parts := e.MultipartReader(); parts != nil {
		for o.parts <= maxParts {
			part, err := parts.NextPart()
			if part == nil {
				if err != nil && !errors.Is(err, io.EOF) {
					o.problem(name, "the mail breaks off within its parts: %v", err)
				}
				return
			}
			o.entity(name, part, wraps)
		}
		return
	}
	data, err := io.ReadAll(e.Body) // which is within the input
	if !o.held(name, len(data)) {
		return
	}
	if err != nil && len(data) == 0 {
		o.problem(name, "a part cannot be decoded: %v", err)
		return
	}
	_, disposition, _ := e.Header.ContentDisposition()
	file := kept(strings.TrimSpace(disposition["filename"] + " " + params["name"]))
	if disposition["filename"] != "" {
		file = kept(disposition["filename"])
	}
	if file != "" {
		name += ", " + file
	}
	switch k := sniff(data); {
	case k == noReport && (strings.HasPrefix(media, "text/") || file == "" || len(bytes.TrimSpace(data)) == 0 && media == ""):
		return // words for people
	case k == mailMessage && media != "message/rfc822" && media != "application/octet-stream":
		if !strings.HasPrefix(media, "text/") && file == "" {
			return
		}
		if !bytes.Contains(data[:min(len(data), sniffed)], []byte("MIME-Version")) {
			return // a text that begins with a word and a colon
		}
	case k == xmlDocument && media == "text/html":
		return
	case k == xmlDocument && strings.HasPrefix(media, "image/"):
		return
	}
	o.octets(name, data, wraps+1)
}
