package inventory

import "time"

// Publisher names a way for records to get into zones. Secrets and programs are named, never held. Which fields count
// is decided by the kind: see publisherSettings.
type Publisher struct {
	Name string        `json:"name"`
	Kind PublisherKind `json:"kind"`
	// Server is "addr:port" of the primary that takes updates (rfc2136).
	Server string `json:"server,omitempty"`
	// KeyFile is a file with a TSIG key in BIND's format (rfc2136).
	KeyFile string `json:"key_file,omitempty"`
	// Zone is the zone written to. Empty = found by asking DNS for the zone cut; required for builtin and zonefile.
	Zone string `json:"zone,omitempty"`
	// Contact is the owner of the zones, whom manual changes are addressed to (manual): an address or free text, for people; nothing is mailed there.
	Contact string `json:"contact,omitempty"`
	// Host says whose console the click steps are for (manual); "" = HostGeneric.
	Host string `json:"host,omitempty"`
	// RemindEvery is how often an open ticket comes up again (manual); 0 = DefaultRemindEvery.
	RemindEvery time.Duration `json:"remind_every,omitempty"`
	// ExpiresAfter is how long a change may wait for the person before its ticket counts as expired (manual); 0 = DefaultExpiresAfter.
	ExpiresAfter time.Duration `json:"expires_after,omitempty"`
	// Credential says where the secret of an API is: "file:/path", "env:NAME" or "systemd:NAME".
	Credential string `json:"credential,omitempty"`
	// Endpoint is the base URL of an API; empty = the vendor's own.
	Endpoint string `json:"endpoint,omitempty"`
	// Account is the project (google) or the subscription (azure) that the zones belong to.
	Account string `json:"account,omitempty"`
	// Group is the resource group of the zones (azure).
	Group string `json:"group,omitempty"`
	// ZoneID is the vendor's id of Zone; empty = found by name (route53, cloudflare, google).
	ZoneID string `json:"zone_id,omitempty"`
	// File is the zone's file (zonefile).
	File string `json:"file,omitempty"`
	// Program is the name of a program in the control plane's own directory of programs (exec; zonefile, to load the
	// changed file). It is never a path: who may change the inventory does not choose what the control plane runs.
	Program string `json:"program,omitempty"`
	// Repair says whether a record that others changed is written again (invariant 6); default false = reported.
	Repair bool `json:"repair,omitempty"`
}

// PublisherKind is one way to publish.
type PublisherKind string

const (
	PublisherRFC2136      PublisherKind = "rfc2136"
	PublisherBuiltin      PublisherKind = "builtin"
	PublisherManual       PublisherKind = "manual"
	PublisherPowerDNS     PublisherKind = "powerdns"
	PublisherCloudflare   PublisherKind = "cloudflare"
	PublisherRoute53      PublisherKind = "route53"
	PublisherGoogle       PublisherKind = "google"
	PublisherAzure        PublisherKind = "azure"
	PublisherDigitalOcean PublisherKind = "digitalocean"
	PublisherHetzner      PublisherKind = "hetzner"
	PublisherGandi        PublisherKind = "gandi"
	PublisherDeSEC        PublisherKind = "desec"
	PublisherZoneFile     PublisherKind = "zonefile"
	PublisherWebhook      PublisherKind = "webhook"
	PublisherExec         PublisherKind = "exec"
)

// setting is one line below a publisher's kind in fleet.yaml.
type setting struct {
	key      string
	required bool
	example  string // of the value, for the hint
	says     string // what is missing without it: "the publisher "x" does not say …"
	form     settingForm
	field    func(*Publisher) *string
	lasts    func(*Publisher) *time.Duration // formDuration, in place of field
	min, max time.Duration                   // formDuration
}

// settingForm is how a value must look.
type settingForm int

const (
	formText    settingForm = iota // one line
	formAddress                    // address or name with a port
	formPath                       // absolute path
	formZone
	formCredential
	formURL
	formProgram
	formHost
	formDuration
)

var (
	zoneSetting     = setting{key: "zone", example: "example.com", form: formZone, field: func(p *Publisher) *string { return &p.Zone }}
	endpointSetting = setting{key: "endpoint", example: "http://127.0.0.1:8081", says: "where the API is", form: formURL,
		field: func(p *Publisher) *string { return &p.Endpoint }}
	credentialSetting = setting{key: "credential", required: true, example: "file:/etc/postseal/NAME.credential", says: "where the credential is", form: formCredential,
		field: func(p *Publisher) *string { return &p.Credential }}
	zoneIDSetting  = setting{key: "zone_id", form: formText, field: func(p *Publisher) *string { return &p.ZoneID }}
	programSetting = setting{key: "program", example: "my-dns", says: "which program to run", form: formProgram,
		field: func(p *Publisher) *string { return &p.Program }}
)

// publisherSettings are the lines that each kind has; repair is a line of every kind.
var publisherSettings = map[PublisherKind][]setting{
	PublisherRFC2136: {
		{key: "server", required: true, example: `"192.0.2.1:53"`, says: "which server takes the updates", form: formAddress,
			field: func(p *Publisher) *string { return &p.Server }},
		{key: "key_file", form: formPath, field: func(p *Publisher) *string { return &p.KeyFile }},
		zoneSetting,
	},
	PublisherBuiltin: {zoneSetting.needed("_domainkey.example.com", "which zone it serves")},
	PublisherManual: {
		{key: "contact", required: true, example: "dns@example.com", says: "whom to ask", form: formText,
			field: func(p *Publisher) *string { return &p.Contact }},
		{key: "host", form: formHost, field: func(p *Publisher) *string { return &p.Host }},
		{key: "remind_every", form: formDuration, lasts: func(p *Publisher) *time.Duration { return &p.RemindEvery }, min: minRemindEvery, max: maxTicketTime},
		{key: "expires_after", form: formDuration, lasts: func(p *Publisher) *time.Duration { return &p.ExpiresAfter }, min: minExpiresAfter, max: maxTicketTime},
	},
	PublisherPowerDNS:     {endpointSetting.needed("http://127.0.0.1:8081", "where the API is"), credentialSetting, zoneSetting},
	PublisherCloudflare:   {credentialSetting, zoneSetting, zoneIDSetting, endpointSetting},
	PublisherRoute53:      {credentialSetting, zoneSetting, zoneIDSetting, endpointSetting},
	PublisherDigitalOcean: {credentialSetting, zoneSetting, endpointSetting},
	PublisherHetzner:      {credentialSetting, zoneSetting, endpointSetting},
	PublisherGandi:        {credentialSetting, zoneSetting, endpointSetting},
	PublisherDeSEC:        {credentialSetting, zoneSetting, endpointSetting},
	PublisherGoogle: {credentialSetting, {key: "project", required: true, example: "my-project", says: "which project has the zones", form: formText,
		field: func(p *Publisher) *string { return &p.Account }}, zoneSetting, zoneIDSetting, endpointSetting},
	PublisherAzure: {credentialSetting,
		{key: "subscription", required: true, example: "00000000-0000-0000-0000-000000000000", says: "which subscription has the zones", form: formText,
			field: func(p *Publisher) *string { return &p.Account }},
		{key: "resource_group", required: true, example: "dns", says: "which resource group has the zones", form: formText,
			field: func(p *Publisher) *string { return &p.Group }},
		zoneSetting, endpointSetting},
	PublisherZoneFile: {
		{key: "file", required: true, example: "/var/lib/bind/example.com.zone", says: "which file has the zone", form: formPath,
			field: func(p *Publisher) *string { return &p.File }},
		zoneSetting.needed("example.com", "which zone the file is of"), programSetting},
	PublisherWebhook: {endpointSetting.needed("http://127.0.0.1:8888", "where the webhook provider listens"), zoneSetting},
	PublisherExec:    {programSetting.needed("my-dns", "which program to run"), zoneSetting},
}

// needed is the setting where it must be given.
func (s setting) needed(example, says string) setting {
	s.required, s.example, s.says = true, example, says
	return s
}

// Writes reports whether a name can be in what the publisher writes to.
func (p Publisher) Writes(name string) bool { return p.Zone == "" || inside(name, p.Zone) }
