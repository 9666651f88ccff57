package scanedge

import "time"

// Enrolment is what an operator gets for an edge that was enrolled: Token makes one machine that edge. It works once.
type Enrolment struct {
	Name  string    `json:"name"`
	Token string    `json:"token"`
	Until time.Time `json:"until"`
}
