package load

import (
	"errors"
	"time"
)

// Progress is how far a run is.
type Progress struct {
	Over     time.Duration // how long the schedule is
	Planned  uint64        // due by now
	Sent     uint64        // of these
	Answered uint64        // over HTTP
	Visits   uint64        // that the answers stand for
	Wrong    uint64        // of the answers
	Failed   uint64        // without an answer
	Refused  uint64

	// Of the second that has just ended, in milliseconds.
	P50, P99, P999 float64 // from the scheduled time
	Lag            float64 // p99 of the generator's
	Visible        float64 // p99 from push to the last edge; 0: no turn was seen through
}

// collector goes round once a second and takes what the shards have counted. One goroutine.
type collector struct {
	e       *engine
	seconds *secondsLog
	samples *sampleFile
	result  *Result

	tally         *secondTally  // the second that is being put together
	spare         *secondTally  // what a shard gets for its own
	from          time.Duration // when the last second ended
	planned, sent uint64        // until then
	began, used   processorTime // at the start, and then
	overflows     uint64        // of listeners' queues, at the start
	at            Progress

	clock  clock
	little little
	pace   pace
}

// pace is how seconds went.
type pace struct {
	seconds int // whole ones
	late    int // in which the lag's p99 was over MaxLag
	off     int // in which more or less was sent than planned
}

func newCollector(e *engine) (*collector, error) {
	seconds, err := openSeconds(e.Dir)
	if err != nil {
		return nil, err
	}
	samples, err := openSamples(e.Dir)
	if err != nil {
		return nil, errors.Join(err, seconds.close())
	}
	return &collector{e: e, seconds: seconds, samples: samples, tally: newSecondTally(), spare: newSecondTally()}, nil
}

// begin starts the clocks.
func (c *collector) begin() {
	c.result = NewResult(c.e.Schedule)
	c.clock = newClock(c.e.start)
	c.began, _ = processorTimes()
	c.used, c.overflows = c.began, listenOverflows()
	c.at = Progress{Over: c.e.Schedule.Over()}
}

// tick ends a second in the midst of the run.
func (c *collector) tick() {
	s, now := c.second()
	c.pace.add(s, now < c.e.Schedule.Over())
	if c.e.Progress != nil {
		c.e.Progress(now, c.at)
	}
}

// second ends the one that is under way, and logs it.
func (c *collector) second() (*Second, time.Duration) {
	t := c.take()
	now := c.e.now()
	planned, sent := c.e.Schedule.DueBy(now), c.e.sent.Load()
	s := &Second{
		Second: int(c.from.Round(time.Second) / time.Second), Planned: planned - c.planned, Sent: sent - c.sent,
		Answered: t.answered, Visits: t.visits, Wrong: t.wrong, Outcomes: t.outcomes, Heat: t.heat[:],
		Latency: t.latency.Summary(), Lag: t.lag.Summary(),
	}
	used, _ := processorTimes()
	s.Processor = used.since(c.used)
	if c.e.Each != nil {
		c.e.Each(s)
	}
	c.seconds.write(s)
	c.used, c.from, c.planned, c.sent = used, now, planned, sent
	c.add(s)
	c.clock.look()
	c.e.bursts.compare(now - time.Second) // what has ended for good
	return s, now
}

// take empties the shards.
func (c *collector) take() *secondTally {
	c.tally.reset()
	for _, shard := range c.e.shards {
		t, samples := shard.take(c.spare)
		c.tally.merge(t)
		t.reset()
		c.spare = t
		c.samples.write(samples)
	}
	return c.tally
}

func (c *collector) add(s *Second) {
	p := &c.at
	p.Planned, p.Sent, p.Answered, p.Visits, p.Wrong = c.planned, c.sent, p.Answered+s.Answered, p.Visits+s.Visits, p.Wrong+s.Wrong
	p.Failed, p.Refused = p.Failed+s.Outcomes[Failed], p.Refused+s.Outcomes[Refused]
	p.P50, p.P99, p.P999, p.Lag, p.Visible = s.Latency.P50, s.Latency.P99, s.Latency.P999, s.Lag.P99, s.Visible.P99
}

// add counts a second, if it is a whole one of the schedule.
func (p *pace) add(s *Second, whole bool) {
	if !whole {
		return
	}
	p.seconds++
	if s.Lag.P99 > MaxLag {
		p.late++
	}
	if off := max(s.Sent, s.Planned) - min(s.Sent, s.Planned); float64(off) > MaxOffSecond*float64(s.Planned)+2 {
		p.off++ // two visits are one that is due at either end
	}
}

// end puts the result together, when all lanes are through.
func (c *collector) end(interrupted bool) *Result {
	c.second()
	c.e.bursts.compare(max(c.e.now(), c.e.Schedule.Over()) + burstBin)
	r := c.result
	r.Accounts.Sent, r.Accounts.Unsent, r.Interrupted = c.e.sent.Load(), c.e.unsent.Load(), interrupted
	for _, shard := range c.e.shards {
		r.addShard(shard, c.e.Ops)
	}
	r.closeOps()
	r.pace, r.bursts, r.step = c.pace, c.e.bursts.distance(), c.clock.worst
	r.under, r.underOff = c.little.mean()
	r.took = c.e.now()
	r.overflowed = listenOverflows() - c.overflows
	used, ok := processorTimes()
	r.Processor, r.looked = used.since(c.began), ok
	if err := errors.Join(c.seconds.close(), c.samples.close()); err != nil {
		r.Unlogged = err.Error()
	}
	r.judge()
	return r
}
