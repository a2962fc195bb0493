package client

import (
	"context"
	"net/http"
	"time"
)

// RotateRequest asks for new keys.
type RotateRequest struct {
	Signer string `json:"signer,omitempty" doc:"name of one server or pool; empty = all that sign with managed keys"`
}

// Rotated names whose keys will be replaced.
type Rotated struct {
	Signers []string `json:"signers"`
}

// Hold stops planned changes of one domain.
type Hold struct {
	Until  time.Time `json:"until,omitzero" doc:"absent = until released"`
	Reason string    `json:"reason"`
	By     string    `json:"by"`
	At     time.Time `json:"at"`
}

// Freeze stops planned changes of every domain.
type Freeze = Hold

// HoldRequest asks for a hold or a freeze.
type HoldRequest struct {
	Until  time.Time `json:"until,omitzero" doc:"absent = until released"`
	Reason string    `json:"reason" minLength:"1" maxLength:"500"`
}

// Waiver lets a listed name server be ignored while it is silent.
type Waiver struct {
	Server string    `json:"server" doc:"as status names it"`
	Until  time.Time `json:"until"`
	By     string    `json:"by"`
	Reason string    `json:"reason"`
}

// WaiveRequest asks for a waiver.
type WaiveRequest struct {
	Server string    `json:"server" minLength:"1" maxLength:"300"`
	Until  time.Time `json:"until"`
	Reason string    `json:"reason" minLength:"1" maxLength:"500"`
}

// FreezeShow is the freeze that stands, if one does.
type FreezeShow struct {
	Freeze *Freeze `json:"freeze,omitempty"`
}

// Rotate asks for new keys of a domain.
func (c *Client) Rotate(ctx context.Context, domain, signer string) (Rotated, error) {
	var out Rotated
	return out, c.post(ctx, place("domains", domain, "rotate"), RotateRequest{signer}, &out)
}

// Hold stops planned changes of a domain; it replaces an earlier hold.
func (c *Client) Hold(ctx context.Context, domain string, r HoldRequest) error {
	return c.call(ctx, http.MethodPut, place("domains", domain, "hold"), nil, r, nil)
}

// Release ends the hold of a domain.
func (c *Client) Release(ctx context.Context, domain string) error {
	return c.call(ctx, http.MethodDelete, place("domains", domain, "hold"), nil, nil, nil)
}

// Waive lets a silent name server of a domain be ignored until a time.
func (c *Client) Waive(ctx context.Context, domain string, r WaiveRequest) error {
	return c.post(ctx, place("domains", domain, "waivers"), r, nil)
}

// Freeze stops planned changes of every domain.
func (c *Client) Freeze(ctx context.Context, r HoldRequest) error {
	return c.call(ctx, http.MethodPut, place("freeze"), nil, r, nil)
}

// Thaw ends the freeze.
func (c *Client) Thaw(ctx context.Context) error {
	return c.call(ctx, http.MethodDelete, place("freeze"), nil, nil, nil)
}

// ShowFreeze returns the freeze that stands.
func (c *Client) ShowFreeze(ctx context.Context) (FreezeShow, error) {
	var out FreezeShow
	return out, c.get(ctx, place("freeze"), nil, &out)
}
