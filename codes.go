package scanedge

import "time"

// SubjectSecret is what a phone needs to make the rolling codes of a subject offline, as an origin answers it to an operator: the
// issuer's own server, which hands it to the holder's phone. Who has it can make the subject's codes until the code key changes.
type SubjectSecret struct {
	Issuer      string `json:"issuer"`
	Subject     string `json:"subject"`
	KeyID       int    `json:"key_id"` // 1 to 255: which of the issuer's code keys it comes from
	Secret      string `json:"secret"` // 64 hex digits
	Step        uint32 `json:"step"`   // the origin's present one
	StepSeconds int    `json:"step_seconds"`
	ServerTime  string `json:"server_time"` // the origin's clock, RFC 3339 with milliseconds: how far the phone's is off
}

// CodeOrder is what an operator asks of a signed code. The code is good from From on and before Until, both rounded down to seconds.
type CodeOrder struct {
	From  time.Time `json:"from,omitzero"` // left out: now
	Until time.Time `json:"until"`
}

// SignedCode is a code for paper, and from when until when it is good.
type SignedCode struct {
	Code  string    `json:"code"`
	From  time.Time `json:"from"`
	Until time.Time `json:"until"`
}
