package web

import (
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"path"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/postseal/postseal/internal/access"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/report"
)

// uploadPage is what the page for handing in shows.
type uploadPage struct {
	Files   []uploadedFile
	Stopped string // why the files after these were not read
	Done    bool   // a form was sent
	Stored  int
	Known   int // there already
	Foreign int
	Unread  int
	Refused int   // files that were not taken
	Message int64 // in the aggregate reports that were stored

	MaxFile, MaxForm, MaxFiles int // in MiB, and a number
}

// uploadedFile is a file and what became of it.
type uploadedFile struct {
	Name    string
	Again   bool   // the same octets had arrived before
	Problem string // it was not taken
	Hint    string
	Reports []uploadedReport
}

// uploadedReport is a document of a file.
type uploadedReport struct {
	report.ReceivedReport
	Ours string // the domain of the inventory that it is counted for
}

func newUploadPage() uploadPage {
	return uploadPage{MaxFile: report.MaxInput >> 20, MaxForm: maxUpload >> 20, MaxFiles: maxUploadFiles}
}

// mayUpload says who may hand reports in: as in the API, an operator who may see every domain, because a report may be about any.
func mayUpload(who access.Principal) error { return everywhere(who, "hand reports in") }

// everywhere lets operators do something that may be about any domain.
func everywhere(who access.Principal, what string) error {
	if err := who.Need(access.Operator, what); err != nil {
		return err
	}
	return who.SeesAll(what)
}

func (c *Console) uploadPage(w http.ResponseWriter, r *http.Request, who access.Principal) error {
	if err := mayUpload(who); err != nil {
		return err
	}
	c.show(w, r, http.StatusOK, "upload", viewOf(who, "Upload reports", newUploadPage()))
	return nil
}

// upload takes the files of a form one after another, so that only one of them is in memory. What was taken stays, whatever happens to the next.
func (c *Console) upload(w http.ResponseWriter, r *http.Request, who access.Principal) error {
	if err := mayUpload(who); err != nil {
		return err
	}
	leave, err := c.uploads.Enter(r.Context(), who.Name)
	if err != nil {
		return err
	}
	defer leave()
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(uploadWithin)) // what has no connection needs none
	r.Body = http.MaxBytesReader(w, r.Body, maxUpload)
	form, err := r.MultipartReader()
	if err != nil {
		return fault.New(fault.Invalid, "this is no form with files")
	}
	known, err := c.reports.Directory(r.Context())
	if err != nil {
		return err
	}
	out := newUploadPage()
	out.Done = true
	for {
		part, err := form.NextPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			out.Stopped = stopped(err)
			break
		}
		if part.FormName() != "files" || part.FileName() == "" {
			continue // a form without files has one part without a name
		}
		if len(out.Files) == maxUploadFiles {
			out.Stopped = "one form has at most " + report.Grouped(maxUploadFiles) + " files; the others were not read"
			break
		}
		// The form may take minutes: whoever may not hand reports in any more is not asked to the end.
		if who, err = c.who(r); err == nil {
			err = mayUpload(who)
		}
		if err != nil {
			out.Stopped, _ = c.told(r.Context(), "upload", err)
			break
		}
		f, err := c.take(r, who, known, part)
		if err != nil {
			out.Stopped = stopped(err)
			f.Problem = "it did not arrive as a whole"
		}
		out.add(f)
		if err != nil {
			break
		}
	}
	c.show(w, r, http.StatusOK, "upload", viewOf(who, "Upload reports", out))
	return nil
}

// take reads and stores one file. An error means that the form cannot be read on; what is wrong with the file alone is in its Problem.
func (c *Console) take(r *http.Request, who access.Principal, known *report.Directory, part *multipart.Part) (uploadedFile, error) {
	f := uploadedFile{Name: fileName(part.FileName())}
	octets, err := io.ReadAll(io.LimitReader(part, report.MaxInput+1))
	if err != nil {
		return f, err
	}
	now, err := c.storage.Now(r.Context())
	if err == nil {
		var receipt report.Receipt
		receipt, err = c.reports.Take(r.Context(), report.Arrival{
			Way: report.ByHand, Place: who.Name, Name: f.Name, Octets: octets, At: now, Trust: report.Given, Verdict: "handed in by " + who.Name,
		})
		f.Again = receipt.Again
		for _, x := range receipt.Reports {
			f.Reports = append(f.Reports, uploadedReport{x, known.Domain(x.Domain)})
		}
	}
	if err != nil {
		f.Problem, f.Hint = c.told(r.Context(), "upload "+f.Name, err)
	}
	return f, nil
}

// add notes a file and counts what became of its documents.
func (u *uploadPage) add(f uploadedFile) {
	if f.Problem != "" {
		u.Refused++
	}
	for i := range f.Reports {
		x := &f.Reports[i]
		if f.Again && x.State == report.Stored {
			x.State = report.Duplicate
		}
		switch x.State {
		case report.Stored:
			u.Stored++
			if x.Type == report.Aggregate {
				u.Message += x.Messages
			}
		case report.Duplicate:
			u.Known++
		case report.Foreign:
			u.Foreign++
		default:
			u.Unread++
		}
	}
	u.Files = append(u.Files, f)
}

// stopped says why a form was not read to its end.
func stopped(err error) string {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return "one form has at most " + report.Grouped(maxUpload>>20) + " MiB; what came after that was not read"
	}
	return "the form broke off; what came after that was not read"
}

// fileName is the last part of a file's name as a browser gives it, as text that can be stored.
func fileName(name string) string {
	name = path.Base(strings.ReplaceAll(name, `\`, "/"))
	name = strings.ToValidUTF8(name, "\uFFFD")
	for len(name) > maxFileName {
		_, size := utf8.DecodeLastRuneInString(name)
		name = name[:len(name)-size]
	}
	return name
}
