package main

import (
	"archive/zip"
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/postseal/postseal/dmarc"
	reading "github.com/postseal/postseal/internal/report"
)

// reader reads reports as a process of its own.
type reader struct {
	name string
	// command reads a file; counts says what it printed.
	command func(path string) []string
	counts  func(out []byte) (found, error)
	// folders says that it takes all files of a folder in one process. The others are started for each.
	folders bool
	// prints says that it is a program that shows what it read, and not only a parser.
	prints bool
	// sets says whether it gets a set; nil: all.
	sets func(s *reportSet) bool
}

// The names of the readers.
const (
	readerOurs    = "postseal"
	readerProgram = "postseal report parse --csv"
	readerDecoder = "encoding/xml"
	readerTree    = "ElementTree"
	readerPulls   = "ElementTree, iterparse"
	readerCat     = "dmarc-cat"
)

// python is Debian's, so that no launcher's time is counted.
const python = "/usr/bin/python3"

// readers are those that this machine has; missing says what the others need.
func readers(dir, self, postseal string) (all []reader, missing []string, err error) {
	script := filepath.Join(dir, "elementtree.py")
	source, err := peerSources.ReadFile("peers/elementtree.py")
	if err != nil {
		return nil, nil, err
	}
	if err := os.WriteFile(script, source, 0o600); err != nil {
		return nil, nil, err
	}
	one := func(s *reportSet) bool { return s.files == 1 }
	notPacked := func(s *reportSet) bool { return s.name != packedSet } // five seconds to say the same again
	child := func(name string) func(string) []string {
		return func(path string) []string { return []string{self, readReportsCommand, name, path} }
	}
	all = []reader{
		{name: readerOurs, command: child(readerOurs), counts: twoNumbers, folders: true},
		{name: readerProgram, command: func(path string) []string { return []string{postseal, "report", "parse", "--csv", path} }, counts: csvCounts, folders: true, prints: true},
		{name: readerDecoder, command: child(readerDecoder), counts: twoNumbers, folders: true},
	}
	if _, err := os.Stat(python); err == nil {
		all = append(all,
			reader{name: readerTree, command: func(path string) []string { return []string{python, script, "parse", path} }, counts: twoNumbers, folders: true, sets: notPacked},
			reader{name: readerPulls, command: func(path string) []string { return []string{python, script, "iterparse", path} }, counts: twoNumbers, folders: true, sets: one})
	} else {
		missing = append(missing, readerTree+" (Debian: python3): "+err.Error())
	}
	if path, err := exec.LookPath(readerCat); err == nil {
		all = append(all, reader{name: readerCat, command: func(file string) []string { return []string{path, "-N", "-j", "1", file} }, counts: catCounts, prints: true})
	} else {
		missing = append(missing, readerCat+" (Debian: dmarc-cat): "+err.Error())
	}
	return all, missing, nil
}

// readReportsCommand makes this program a reader: its name and a path follow.
const readReportsCommand = "read-reports"

// readReports is the work of such a process: it reads a file, or the files of a folder, and prints how many rows and messages it found.
func readReports(name, path string) error {
	read := map[string]func(string) (found, error){readerOurs: weRead, readerDecoder: decoderReads}[name]
	if read == nil {
		return fmt.Errorf("no reader is called %q", name)
	}
	var sum found
	err := filepath.WalkDir(path, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		f, err := read(path)
		sum.add(f)
		return err
	})
	if err == nil {
		fmt.Println(sum.rows, sum.messages)
	}
	return err
}

// weRead reads a file as the product does: XML as a stream, everything else from its octets.
func weRead(path string) (f found, err error) {
	count := func(row *dmarc.Row) error {
		f.rows++
		f.messages += row.Count
		return nil
	}
	if filepath.Ext(path) == ".xml" {
		in, err := os.Open(path)
		if err != nil {
			return f, err
		}
		defer in.Close()
		_, err = dmarc.ReadXML(in, count)
		return f, err
	}
	return weReadOctets(path, count, &f)
}

func weReadOctets(path string, count func(*dmarc.Row) error, f *found) (found, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return *f, err
	}
	documents, problems := reading.Open(filepath.Base(path), data)
	if len(problems) > 0 {
		return *f, problems[0].Err
	}
	for _, d := range documents {
		parsed, err := reading.Parse(d, count)
		if err != nil {
			return *f, err
		}
		if parsed.Type != reading.Aggregate { // the comparison of what is found counts these as one row
			f.rows++
			f.messages++
		}
	}
	return *f, nil
}

// feedback is a report as most programs in Go decode it.
type feedback struct {
	XMLName  xml.Name `xml:"feedback"`
	OrgName  string   `xml:"report_metadata>org_name"`
	Email    string   `xml:"report_metadata>email"`
	ID       string   `xml:"report_metadata>report_id"`
	Begin    int64    `xml:"report_metadata>date_range>begin"`
	End      int64    `xml:"report_metadata>date_range>end"`
	Domain   string   `xml:"policy_published>domain"`
	Policy   string   `xml:"policy_published>p"`
	DKIMMode string   `xml:"policy_published>adkim"`
	SPFMode  string   `xml:"policy_published>aspf"`
	Records  []struct {
		Source      string `xml:"row>source_ip"`
		Count       int64  `xml:"row>count"`
		Disposition string `xml:"row>policy_evaluated>disposition"`
		DKIM        string `xml:"row>policy_evaluated>dkim"`
		SPF         string `xml:"row>policy_evaluated>spf"`
		From        string `xml:"identifiers>header_from"`
		Signatures  []struct {
			Domain   string `xml:"domain"`
			Selector string `xml:"selector"`
			Result   string `xml:"result"`
		} `xml:"auth_results>dkim"`
		Senders []struct {
			Domain string `xml:"domain"`
			Result string `xml:"result"`
		} `xml:"auth_results>spf"`
	} `xml:"record"`
}

// decoderReads reads a file with encoding/xml. What is packed it unpacks, by its first octets.
func decoderReads(path string) (f found, err error) {
	in, err := os.Open(path)
	if err != nil {
		return f, err
	}
	defer in.Close()
	buffered := bufio.NewReader(in)
	var document io.Reader = buffered
	switch head, _ := buffered.Peek(2); string(head) {
	case "\x1f\x8b":
		if document, err = gzip.NewReader(buffered); err != nil {
			return f, err
		}
	case "PK":
		archive, err := zip.OpenReader(path)
		if err != nil {
			return f, err
		}
		defer archive.Close()
		if len(archive.File) == 0 {
			return f, errors.New("an empty archive")
		}
		first, err := archive.File[0].Open()
		if err != nil {
			return f, err
		}
		defer first.Close()
		document = first
	}
	var r feedback
	if err := xml.NewDecoder(document).Decode(&r); err != nil {
		return f, err
	}
	f.rows = len(r.Records)
	for _, record := range r.Records {
		f.messages += record.Count
	}
	return f, nil
}

// twoNumbers reads what readReports and the child in Python print.
func twoNumbers(out []byte) (f found, err error) {
	_, err = fmt.Sscan(string(out), &f.rows, &f.messages)
	return f, err
}

// csvCounts counts the lines of report parse --csv.
func csvCounts(out []byte) (f found, err error) {
	in := csv.NewReader(bytes.NewReader(out))
	in.ReuseRecord = true
	head, err := in.Read()
	if err != nil {
		return f, err
	}
	column := -1
	for i, name := range head {
		if name == "count" {
			column = i
		}
	}
	if column < 0 {
		return f, errors.New("there is no column count")
	}
	for {
		line, err := in.Read()
		if err == io.EOF {
			return f, nil
		}
		if err != nil {
			return f, err
		}
		n, err := strconv.ParseInt(line[column], 10, 64)
		if err != nil {
			return f, err
		}
		f.rows++
		f.messages += n
	}
}

// catCounts counts the lines of dmarc-cat's table: those below the line with the names of its columns.
func catCounts(out []byte) (f found, err error) {
	column := -1
	for line := range strings.Lines(string(out)) {
		if column < 0 {
			if strings.HasPrefix(line, "IP ") {
				column = strings.Index(line, "Count")
			}
			continue
		}
		if strings.TrimSpace(line) == "" {
			continue
		}
		if len(line) <= column {
			return f, fmt.Errorf("%q has no count", line)
		}
		n, err := strconv.ParseInt(strings.Fields(line[column:])[0], 10, 64)
		if err != nil {
			return f, err
		}
		f.rows++
		f.messages += n
	}
	if column < 0 {
		return f, errors.New("it printed no table")
	}
	return f, nil
}
