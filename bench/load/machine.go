package load

import "time"

// Processor is how processors were used, as shares of all their time, from 0 to 1. All zero where the system does not tell.
type Processor struct {
	Own     float64 `json:"own"`     // by this process
	Machine float64 `json:"machine"` // by all, this one too
	Stolen  float64 `json:"stolen"`  // by the machine's neighbours, where it is a virtual one
}

// processorTime is counted from some beginning on.
type processorTime struct{ all, idle, stolen, own time.Duration }

// since is what was used between two looks.
func (t processorTime) since(before processorTime) (p Processor) {
	all := float64(t.all - before.all)
	if all <= 0 {
		return p
	}
	stolen := float64(t.stolen - before.stolen)
	return Processor{
		Own:     float64(t.own-before.own) / all,
		Machine: 1 - (float64(t.idle-before.idle)+stolen)/all,
		Stolen:  stolen / all,
	}
}
