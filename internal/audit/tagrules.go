package audit

import (
	"slices"
	"strings"
)

// syntax looks for what makes the list of tags unreadable, or readable as something else.
func (l *linter) syntax() {
	l.pieces()
	l.version()
	l.keyType()
	if g, ok := l.tags.get("g"); ok {
		l.add("DKIM-S16", Warning, "", "g=%s is of the old standard (RFC 4871) and means nothing any more; some old receivers never match a key with an empty one", shown(g))
	}
}

// pieces looks at each piece: is it a tag, a known one, and the only one of its name. A few of each kind are named.
func (l *linter) pieces() {
	const most = 4
	count := map[string]int{}
	damaged, unknown := 0, 0
	for _, t := range l.tags {
		if !t.whole {
			if damaged++; damaged > most {
				continue
			}
			if t.text == "" {
				l.add("DKIM-S08", Error, "", "there is a semicolon without a tag before it")
			} else {
				l.add("DKIM-S08", Error, "", "%s is no tag=value: characters were lost or added where the record was cut or typed", shown(t.text))
			}
			continue
		}
		switch count[t.name]++; {
		case count[t.name] == 2:
			l.add("DKIM-S13", Error, l.ambiguity(t.name), "the tag %s= is there more than once, which makes the whole record void", excerpt(t.name))
		case count[t.name] == 1 && !t.known() && t.name != "g":
			if unknown++; unknown <= most {
				l.add("DKIM-S16", Info, "", "the tag %s= is unknown; receivers ignore it%s", excerpt(t.name), letterCase(t.name))
			}
		}
	}
}

// ambiguity is the fix for a tag that is there twice.
func (l *linter) ambiguity(name string) string {
	if name == "p" && l.ambiguous() {
		return "the keys differ: keep the one that the mail server signs with, and publish another one under a selector of its own"
	}
	return ""
}

// letterCase tells of a tag that would be known in lower case.
func letterCase(name string) string {
	if lower := strings.ToLower(name); lower != name && strings.Contains(keyTags, lower) {
		return " (the names of tags are in lower case)"
	}
	return ""
}

func (l *linter) version() {
	at := slices.IndexFunc(l.tags, func(t tag) bool { return t.whole && t.name == "v" })
	if at < 0 {
		l.add("DKIM-S12", Info, "", "v=DKIM1 is missing; it is recommended, so that nobody takes the record for something else")
		return
	}
	switch v := l.tags[at].value; {
	case v == "DKIM1":
	case unspaced(v) == "DKIM1":
		l.add("DKIM-S08", Error, "", "there is white space inside %s: the record was cut in the middle of a word", shown("v="+v))
	default:
		l.add("DKIM-S11", Error, "", "v= is %s; receivers discard everything but DKIM1", shown(v))
	}
	if at > 0 {
		l.add("DKIM-S10", Error, "", "v= is not the first tag; receivers discard the record")
	}
}

func (l *linter) keyType() {
	k, ok := l.tags.get("k")
	switch {
	case !ok || k == "rsa" || k == "ed25519":
	case unspaced(k) == "rsa" || unspaced(k) == "ed25519":
		l.add("DKIM-S08", Error, "", "there is white space inside %s: the record was cut in the middle of a word", shown("k="+k))
	default:
		l.add("DKIM-S14", Error, "", "k= is %s; the key types are rsa and ed25519, in lower case", shown(k))
	}
}

// flags looks at what the remaining tags mean.
func (l *linter) flags() {
	l.list("h", "DKIM-S17", "receivers accept no signature with this key: h=%s leaves out sha256, the only hash that is in use (RFC 8301)", "sha256")
	l.list("s", "DKIM-S18", "the key is not for mail: s=%s has neither email nor *", "email", "*")
	if t, _ := l.tags.get("t"); slices.Contains(items(t), "y") {
		l.add("DKIM-S19", Warning, since("when the tests are over, ", l.publish("t", "y")),
			"t=y says that the domain is testing DKIM: receivers may treat its mail as unsigned")
	}
	if n, ok := l.tags.get("n"); ok {
		l.add("DKIM-S21", Info, l.publish("n", ""), "there is a note for people (%s), which costs room in every answer", shown(n))
	}
}

// list checks that a list, where there is one, has one of the items.
func (l *linter) list(name, id, message string, wanted ...string) {
	value, ok := l.tags.get(name)
	if !ok {
		return
	}
	have := items(value)
	if slices.ContainsFunc(have, func(s string) bool { return slices.Contains(wanted, s) }) {
		return
	}
	if slices.ContainsFunc(have, func(s string) bool { return slices.Contains(wanted, unspaced(s)) }) {
		l.add("DKIM-S08", Error, "", "there is white space inside %s: the record was cut in the middle of a word", shown(name+"="+value))
		return
	}
	l.add(id, Error, since("leave "+name+"= away: ", l.publish(name, "")), message, shown(value))
}

// since puts words before a fix that is a record.
func since(words, fix string) string {
	if fix == "" {
		return ""
	}
	return words + fix
}

// cuts looks at the strings that the record is made of.
func (l *linter) cuts() {
	for _, s := range l.value.Strings {
		if len(s) > txtStringOctets {
			l.add("DKIM-S30", Warning, "publish it in several strings: "+quoted(l.value.Text),
				"a string of %d octets; DNS has room for %d in one, so some servers refuse it and others cut it off", len(s), txtStringOctets)
			return
		}
	}
	if len(l.value.Text) == txtStringOctets && l.p.form == formCut {
		l.add("DKIM-S30", Warning, "", "the record ends after %d octets, the room of one string, in the middle of the key: it was cut off", txtStringOctets)
	}
}
