package client

import "context"

// ServiceRequest adds a service to a domain, gives it records, or takes it away.
type ServiceRequest struct {
	Service string `json:"service" maxLength:"63" doc:"catalogue id, or any name for one that the catalogue does not have"`
	Stream  string `json:"stream,omitempty" maxLength:"63" doc:"default: the stream default; when removing, the only one there is"`
	// Records to have at the service's selectors; those at other selectors of its own stay.
	Records []ServiceRecord `json:"records,omitempty" maxItems:"50"`
	Remove  bool            `json:"remove,omitempty" doc:"the service signs no more: its records are taken away"`
	// Generation is the inventory's generation that the changes were shown for; another one is refused. A plan ignores it.
	Generation int64 `json:"generation,omitempty"`
}

// PlanService says what a request would change; nothing is changed.
func (c *Client) PlanService(ctx context.Context, domain string, r ServiceRequest) (Changes, error) {
	var out Changes
	return out, c.post(ctx, place("domains", domain, "services", "plan"), r, &out)
}

// ChangeService carries a request out. fault.Conflict when the generation is another one meanwhile.
func (c *Client) ChangeService(ctx context.Context, domain string, r ServiceRequest) (Changes, error) {
	var out Changes
	return out, c.post(ctx, place("domains", domain, "services"), r, &out)
}
