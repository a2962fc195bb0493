package ticket

import "github.com/postseal/postseal/internal/inventory"

// naming is how a form wants the name of a record.
type naming int

const (
	either   naming = iota // not known: the short name first, and the sign by which to tell that it was wrong
	relative               // without the zone, which the form adds
)

// dot is what a form does with the target of a CNAME.
type dot int

const (
	dotUnknown  dot = iota // nothing is said, the sign by which to tell is
	dotNeeded              // without a dot at the end the zone is added
	dotOptional            // both mean the same
)

// writing is how a form wants the value of a TXT record.
type writing int

const (
	plain  writing = iota // one piece, without quotes
	pieces                // each piece of at most 255 octets in double quotes, a space between
)

// console is what is known of how a DNS host wants records typed in. What is not known is left out: no step is better than a wrong one.
type console struct {
	title   string
	open    []string // the way to the records of ZONE
	add     string   // the way to a new record of TYPE
	alias   string   // … to a CNAME for OWNER, where that is another way, with no field for the name; "" = as add
	edit    string   // an existing one
	remove  string
	name    string // what the field for the name is called
	value   string // … for the value of a TXT record
	target  string // … for the target of a CNAME
	save    string
	names   naming
	txt     writing
	dot     dot
	noApex  bool   // the field is left empty for the zone itself; else "@" stands for it
	most    int    // octets of a TXT value; 0 = no limit is known
	tooLong string // what to do with a longer one
	notes   map[string]string
	source  string // where this was read, for whoever keeps it up to date
}

// consoleOf returns what is known of a host. Steps follow the hosts' own help pages as of 2026-11, those of Namecheap the guides of mail services for it.
func consoleOf(host string) console {
	switch host {
	case inventory.HostCloudflare:
		return console{title: "Cloudflare", source: "developers.cloudflare.com/dns/manage-dns-records",
			open: []string{"Log in to the Cloudflare dashboard and select the account and the domain ZONE.", "Go to DNS > Records."},
			add:  `Click "Add record" and choose the type TYPE.`, edit: `Find the record and click "Edit".`, remove: `Find the record, click "Edit", then "Delete", and "Delete" again to confirm.`,
			name: "Name", value: "Content", target: "Target", save: `Click "Save".`, names: relative,
			notes: map[string]string{"TXT": "Long values are cut into pieces automatically: paste the value as it is.",
				"CNAME": `Set the proxy status to "DNS only": a record that is proxied does not show its target.`}}
	case inventory.HostGoDaddy:
		return console{title: "GoDaddy", source: "www.godaddy.com/help (19232)",
			open: []string{"Log in to the GoDaddy Domain Portfolio and select the domain ZONE.", `Select "DNS".`},
			add:  `Select "Add New Record" and choose the type TYPE.`,
			name: "Name", value: "Value", target: "Value", save: `Select "Save".`, names: relative,
			most: 1024, tooLong: "GoDaddy takes at most 1,024 characters; this value is longer: tell us, and change nothing."}
	case inventory.HostIONOS:
		return console{title: "IONOS", source: "hosting.1und1.de/hilfe/domains",
			open: []string{"Log in to IONOS and choose Menu > Domains & SSL.", `Click the gear symbol under "Actions" beside the domain ZONE, then "DNS".`},
			add:  `Click "Add record" and choose the type TYPE.`,
			name: "Host name", value: "Value", target: "Points to", save: `Click "Save".`, names: relative,
			notes: map[string]string{"CNAME": "The target is the full name."}}
	case inventory.HostNamecheap:
		return console{title: "Namecheap", source: "guides of mail services for Namecheap",
			open: []string{`Log in to Namecheap, open "Domain List", and click "Manage" beside the domain ZONE.`, `Open the tab "Advanced DNS".`},
			add:  `Click "Add New Record" and choose "TYPE Record".`,
			name: "Host", value: "Value", target: "Target", save: "Click the green check mark.", names: relative}
	case inventory.HostOVH:
		return console{title: "OVHcloud", source: "help.ovhcloud.com, guides dns_zone_edit and dns_zone_dkim",
			open: []string{`Log in to the OVHcloud Control Panel, open "Web Cloud", then "Domain names", and choose ZONE.`, `Open the tab "DNS zone".`},
			add:  `Click "Add an entry" and choose TYPE.`, edit: `Click "..." in the row of the record, then "Modify record".`, remove: `Click "..." in the row of the record, then "Delete record".`,
			name: "Sub-domain", value: "Value", target: "Target", save: `Click "Next", then "Confirm".`, names: relative, dot: dotNeeded,
			most:    255,
			tooLong: `The form takes at most 255 characters. This value is longer: leave the form, click "Change in text format" in the tab "DNS zone", and put this line in zone-file form there, in place of the former one if there is one.`}
	case inventory.HostRoute53:
		return console{title: "Amazon Route 53", source: "docs.aws.amazon.com/Route53/latest/DeveloperGuide; names and quotes from guides of others",
			open: []string{`Open the Route 53 console, "Hosted zones", and click ZONE.`},
			add:  `Click "Create record" and choose the type TYPE.`,
			name: "Record name", value: "Value", target: "Value", names: relative, txt: pieces, dot: dotOptional, noApex: true}
	case inventory.HostStrato:
		return console{title: "STRATO", source: "www.strato.de/faq/domains",
			open: []string{"Log in to the STRATO customer area (Kunden-Login) and open Domains > Domainverwaltung.", `Click "verwalten" beside the domain ZONE and open the tab "DNS".`},
			add:  `Under "TXT Records" (with SPF and DKIM) click "verwalten" and add an entry.`,
			name: "Präfix", value: "Wert", target: "CNAME-Record", names: relative, dot: dotNeeded,
			alias: `Back in the Domainverwaltung, unfold the subdomains of the domain, click the gear symbol beside OWNER (a CNAME belongs to a subdomain: make that first), open the DNS settings, and click "verwalten" at "CNAME-Record".`}
	}
	return console{title: "your DNS host",
		open: []string{"Open the list of DNS records of the zone ZONE."},
		add:  "Add a record of the type TYPE.",
		name: "Name (or Host)", value: "Value (or Content, Text)", target: "Target (or Value, Points to)", save: "Save."}
}
