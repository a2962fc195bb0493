package mtalog

import (
	"net/netip"
	"strings"
)

// Names of the receivers whose replies have meanings of their own.
const (
	Gmail     = "Gmail"
	Microsoft = "Microsoft"
	Yahoo     = "Yahoo"
)

// receivers are the large receivers by the domains of their hosts.
var receivers = [...]struct{ domain, name string }{
	{"google.com", Gmail}, {"googlemail.com", Gmail}, {"gmail.com", Gmail},
	{"outlook.com", Microsoft}, {"mx.microsoft", Microsoft}, {"hotmail.com", Microsoft}, {"live.com", Microsoft},
	{"yahoodns.net", Yahoo}, {"yahoo.com", Yahoo}, {"aol.com", Yahoo},
	{"icloud.com", "Apple"}, {"apple.com", "Apple"},
	{"gmx.net", "GMX, web.de and mail.com"}, {"web.de", "GMX, web.de and mail.com"}, {"mail.com", "GMX, web.de and mail.com"}, {"gmx.de", "GMX, web.de and mail.com"}, {"gmx.com", "GMX, web.de and mail.com"},
	{"kundenserver.de", "IONOS"}, {"ionos.com", "IONOS"}, {"t-online.de", "T-Online"},
	{"mail.ru", "Mail.ru"}, {"yandex.ru", "Yandex"}, {"yandex.net", "Yandex"},
	{"protonmail.ch", "Proton"}, {"proton.me", "Proton"}, {"zoho.com", "Zoho"}, {"zoho.eu", "Zoho"}, {"messagingengine.com", "Fastmail"},
	{"comcast.net", "Comcast"}, {"charter.net", "Spectrum"}, {"orange.fr", "Orange"}, {"free.fr", "Free"}, {"laposte.net", "La Poste"}, {"libero.it", "Libero"},
	{"qq.com", "QQ"}, {"netease.com", "NetEase"}, {"163.com", "NetEase"}, {"naver.com", "Naver"},
	{"pphosted.com", "Proofpoint"}, {"ppe-hosted.com", "Proofpoint"}, {"mimecast.com", "Mimecast"}, {"barracudanetworks.com", "Barracuda"}, {"iphmx.com", "Cisco"},
	{"messagelabs.com", "Symantec"}, {"cloudflare.net", "Cloudflare"}, {"secureserver.net", "GoDaddy"}, {"emailsrvr.com", "Rackspace"}, {"amazonaws.com", "Amazon"},
}

// IsLarge reports whether a name is that of a large receiver, and not a domain.
func IsLarge(name string) bool {
	for _, r := range receivers {
		if r.name == name {
			return true
		}
	}
	return false
}

// receiver says whose a host is: a name that people know, else the domain below which its name stands; "" for an address.
func receiver(host string) string {
	for _, r := range receivers {
		if below, found := strings.CutSuffix(host, r.domain); found && (below == "" || below[len(below)-1] == '.') {
			return r.name
		}
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return ""
	}
	if _, parent, found := strings.Cut(host, "."); found && strings.Contains(parent, ".") {
		return parent
	}
	return host
}

// hostOf reads a host as MTAs write it: "mx.example.net[192.0.2.1]:25", "mx.example.net", "[192.0.2.1]:25". The name counts where there is one.
func hostOf(text string) string {
	name, rest, bracketed := strings.Cut(text, "[")
	name = strings.TrimSuffix(strings.ToLower(strings.TrimRight(name, " ,:")), ".")
	if isName(name) {
		if _, err := netip.ParseAddr(name); err != nil {
			return name
		}
	}
	if bracketed {
		name, _, _ = strings.Cut(rest, "]")
	}
	if a, err := netip.ParseAddr(name); err == nil {
		return a.String()
	}
	return ""
}
