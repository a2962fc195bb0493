package ticket

import (
	"fmt"
	"strings"
	"unicode"
)

// verb begins the heading of a change.
func (c Change) verb() string {
	switch c.Kind() {
	case Add:
		return "Add"
	case Replace:
		return "Replace the value of"
	case Restore:
		return "Put back"
	}
	return "Remove"
}

// heading is the change in a line.
func (c Change) heading() string {
	article := "the"
	if c.Kind() == Add {
		article = "a"
	}
	urgent := ""
	if c.Urgent() {
		urgent = "URGENT: "
	}
	return fmt.Sprintf("%s%s %s %s record at %s", urgent, c.verb(), article, oneLine(c.Type), oneLine(c.Name))
}

// meaning says what the record is, for somebody who knows nothing of it.
func (c Change) meaning() string {
	domain, signer := oneLine(c.Domain), oneLine(c.Signer)
	switch c.Purpose {
	case forKey:
		who := "a mail server"
		if signer != "" {
			who = signer
		}
		switch {
		case c.Want == "":
			return fmt.Sprintf("the public key of %s for mail of %s. It is no longer used, and mail that was signed with it has had its time", who, domain)
		case c.Want == emptyKey:
			return fmt.Sprintf("the public key of %s for mail of %s. The empty value revokes it: nobody can sign mail as %s with it any more", who, domain, domain)
		}
		return fmt.Sprintf("the public key with which receivers verify mail of %s that %s signs", domain, who)
	case forForeign:
		return fmt.Sprintf("the public key with which receivers verify mail of %s that the outside service %s sends", domain, signer)
	case forDelegated:
		return fmt.Sprintf("a pointer to the public key of the outside service %s, which sends mail of %s", signer, domain)
	case forDMARC:
		return fmt.Sprintf("the DMARC policy of %s: what receivers should do with mail that is not genuine, and where they report", domain)
	case forSlot:
		return fmt.Sprintf("a pointer to where the public keys for mail of %s are kept. It is made once; later keys need no change here", domain)
	}
	return fmt.Sprintf("a record for mail of %s", domain)
}

// whenNot says what follows if the change is not made.
func (c Change) whenNot() string {
	switch {
	case c.Urgent():
		return "whoever has taken the private key goes on sending as the domain, and receivers believe it"
	case c.Want == "" && c.Purpose == forKey:
		return "nothing breaks; the old record only stays"
	case c.Want == "":
		return "the service can go on sending as the domain, although nobody wants that any more"
	case c.Want == emptyKey:
		return "whoever has a copy of the private key can go on sending as the domain"
	case c.Kind() == Restore:
		return "mail that depends on the record fails its checks until it is back"
	case c.Purpose == forKey || c.Purpose == forSlot:
		return "the new key stays unused, and mail goes on being signed with the old one, if there is one"
	case c.Purpose == forDMARC:
		return "receivers go by the former policy, or by none"
	}
	return "receivers cannot verify the service's mail, and may treat it as forged"
}

// before says what must be there when the person comes, which a person checks where our programs cannot. among are the changes of the zone.
func (c Change) before(among []Change) string {
	const stop = " If there is something else, change nothing and tell us."
	switch c.Kind() {
	case Add:
		if other := c.followsRemoval(among); other != nil {
			return fmt.Sprintf("nothing, once the %s record of this name is removed as said above.", oneLine(other.Type))
		}
		return "nothing." + strings.Replace(stop, "something else", "a record at that name already", 1)
	case Restore:
		have, _ := c.Last.Single()
		switch {
		case len(c.Last.Servers) == 0:
			return "something else than this, or nothing."
		case have == "":
			return "nothing on at least one name server, although this record stood there before."
		}
		return oneLine(have) + "\nIt was changed by somebody; if that was on purpose, change nothing and tell us."
	case Remove:
		if c.Written == "" {
			return "perhaps the record that was asked for before. If there is nothing, nothing is to be done."
		}
	}
	return oneLine(formValue(c.Type, c.Written)) + "\n" + strings.TrimSpace(stop)
}

// formValue is a value as people type it: the target of a CNAME without a dot at the end.
func formValue(rrtype, value string) string {
	if rrtype == "CNAME" {
		return trimDot(value)
	}
	return value
}

// relativeName is the name without the zone, "@" for the zone itself; ok is false where the name does not lie in the zone.
func relativeName(name, zone string) (short string, ok bool) {
	name, zone = strings.ToLower(trimDot(name)), strings.ToLower(trimDot(zone))
	if name == zone {
		return "@", true
	}
	short, inside := strings.CutSuffix(name, "."+zone)
	return short, inside && zone != ""
}

// oneLine keeps what came from elsewhere (a service's value, a contact) from writing lines of its own into the text.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}

func indent(s, by string) string { return by + strings.ReplaceAll(s, "\n", "\n"+by) }
