package report

// Judgement is everything that reports say about a domain's mail in some days.
type Judgement struct {
	Heard  bool // there were reports; false = nothing below means anything
	Found  []Diagnosis
	Advice Advice
	Bulk   []BulkRules
	// Published is the policy that reporters find in DNS when the inventory has none, as PolicyText writes it; "" = not known.
	Published string
}

// Judge diagnoses, advises, and looks at the rules for bulk senders.
func Judge(groups []Group, scene Scene) Judgement {
	j := Judgement{Heard: len(groups) > 0, Found: Diagnose(groups, scene), Bulk: Bulk(groups, scene)}
	j.Advice = Advise(groups, scene, j.Found)
	return j
}
