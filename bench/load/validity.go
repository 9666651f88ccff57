package load

import "fmt"

// MaxLateness is the p99 of lateness, in milliseconds, past which a run has not kept its schedule: a tenth of a second is what
// a person at a gate would notice, and fifty times what a machine that can carry the rate shows.
const MaxLateness = 100

// rules are what a believable run keeps. Each returns why it is broken, as a sentence, or "".
var rules = []func(*Result) string{interrupted, accounts, unsent, failed, refused, late, unlogged}

// Reasons returns why the result should not be believed; none when it is valid. A wrong answer is no reason: that is a result.
func Reasons(r *Result) []string {
	var why []string
	for _, rule := range rules {
		if w := rule(r); w != "" {
			why = append(why, w)
		}
	}
	return why
}

func interrupted(r *Result) string {
	if r.Interrupted {
		return "the run was interrupted"
	}
	return ""
}

func accounts(r *Result) string {
	if err := r.Accounts.Check(); err != nil {
		return "the accounts do not add up: " + err.Error()
	}
	return ""
}

func unsent(r *Result) string {
	if n := r.Accounts.Unsent; n > 0 {
		return fmt.Sprintf("%d of %d visits were not sent", n, r.Accounts.Planned)
	}
	return ""
}

func failed(r *Result) string {
	if n := r.Accounts.Outcomes[Failed]; n > 0 {
		return fmt.Sprintf("%d visits got no answer (the last: %s)", n, r.Failure)
	}
	return ""
}

func refused(r *Result) string {
	if n := r.Accounts.Outcomes[Refused]; n > 0 {
		return fmt.Sprintf("%d visits were refused (429, 503 or not-ready)", n)
	}
	return ""
}

func late(r *Result) string {
	if p99 := r.Lateness.Summary().P99; p99 > MaxLateness {
		return fmt.Sprintf("visits were sent late, p99 %.0f ms where %d ms is allowed: this rate was not carried", p99, MaxLateness)
	}
	return ""
}

func unlogged(r *Result) string {
	if r.Unlogged != "" {
		return "the log of seconds is not whole: " + r.Unlogged
	}
	return ""
}
