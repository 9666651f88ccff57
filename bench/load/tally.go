package load

import (
	"net/http"
	"strings"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// Progress is how far a run is.
type Progress struct {
	Planned  uint64  // due by now
	Sent     uint64  // of these
	Answered uint64  // over HTTP
	Wrong    uint64  // of the answers
	Failed   uint64  // got no answer
	Refused  uint64  // of the answers
	P50      float64 // milliseconds from the scheduled time, over the last second's answers
	P99      float64
	P999     float64
	Lag      float64       // p99 of the last second's sendings, milliseconds from the scheduled time
	Visible  float64       // p99 of the last second's turns, milliseconds from push to visible; 0 for none
	Visits   uint64        // that the answers stand for
	Over     time.Duration // when the last request is due
}

// tally turns results into accounts, as they come. It belongs to the goroutine that collects.
type tally struct {
	plan     Plan
	start    time.Time
	result   *Result
	recent   *Timer // latency since the last report
	seconds  *secondsLog
	answered uint64
}

// newTally also starts the clock: the attack must follow at once.
func newTally(p Plan) *tally {
	return &tally{plan: p, result: NewResult(p.Schedule), recent: NewTimer(), start: time.Now()}
}

func (t *tally) add(hit *vegeta.Result) {
	r, due := t.result, t.start.Add(t.plan.Schedule.Due(hit.Seq))
	lag, latency := hit.Timestamp.Sub(due), hit.End().Sub(due)
	r.Lateness.Record(lag)
	if hit.Code == 0 {
		r.Accounts.Outcomes[Failed]++
		t.seconds.add(Failed, lag, 0, false)
		r.Failure = strings.TrimPrefix(hit.Error, errorPrefix)
		return
	}
	t.answered++
	r.Service.Record(hit.Latency)
	r.Latency.Record(latency)
	t.recent.Record(latency)
	if hit.Code == http.StatusTooManyRequests || hit.Code == http.StatusServiceUnavailable {
		r.Accounts.Outcomes[Refused]++
		t.seconds.add(Refused, lag, latency, false)
		return
	}
	j := t.plan.Judge(t.plan.visit(hit.Seq), &Answer{Code: int(hit.Code), Body: hit.Body, At: hit.End(),
		ContentType: []byte(hit.Headers.Get("Content-Type")), CacheControl: []byte(hit.Headers.Get("Cache-Control"))})
	r.Accounts.Outcomes[j.Outcome]++
	t.seconds.add(j.Outcome, lag, latency, j.Wrong != nil)
	if j.Wrong != nil {
		r.AddWrong(*j.Wrong)
	}
}

// end writes what came after the last whole second.
func (t *tally) end(sent uint64) {
	elapsed := time.Since(t.start)
	t.seconds.write(elapsed, t.plan.Schedule.DueBy(elapsed), sent, t.recent.Summary())
	if err := t.seconds.close(); err != nil {
		t.result.Unlogged = err.Error()
	}
}

func (t *tally) report(sent uint64) {
	elapsed := time.Since(t.start)
	planned, recent := t.plan.Schedule.DueBy(elapsed), t.recent.Summary()
	t.seconds.write(elapsed, planned, sent, recent)
	if t.plan.Progress != nil {
		t.plan.Progress(elapsed, Progress{
			Planned:  planned,
			Sent:     sent,
			Answered: t.answered,
			Wrong:    t.result.Wrong,
			Failed:   t.result.Accounts.Outcomes[Failed],
			Refused:  t.result.Accounts.Outcomes[Refused],
			P50:      recent.P50,
			P99:      recent.P99,
			P999:     recent.P999,
			Over:     t.plan.Schedule.Over(),
		})
	}
	t.recent.Reset()
}
