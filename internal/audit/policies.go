package audit

// policies judges the domain's DMARC and SPF records.
func (o *observation) policies() {}

// enforced reports whether the domain's own DMARC policy is quarantine or reject.
func (o *observation) enforced() bool { return false }
