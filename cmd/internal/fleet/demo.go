package fleet

import (
	"fmt"
	"time"

	"github.com/scanedge/scanedge"
)

// DemoIssuers are the issuers of the demo population, in the order in which subjects are split over them.
var DemoIssuers = []string{"demo-a", "demo-b"}

// demoLapse is the until of the demo subjects that have lapsed.
var demoLapse = time.Date(2020, time.January, 2, 0, 0, 0, 0, time.UTC)

// DemoSubject is the subject id of number n, 1 to 100,000,000: the same in every issuer.
func DemoSubject(n int) string { return fmt.Sprintf("d%09d", n) }

// DemoStatus is what a scan of subject number n answers, as long as nobody pushed anything else.
func DemoStatus(n int) scanedge.Status {
	switch n % 100 {
	case 7:
		return scanedge.Yellow
	case 13:
		return scanedge.Red
	case 21:
		return scanedge.Void
	case 29:
		return scanedge.Lapsed
	}
	return scanedge.Green
}

// DemoDelta is the delta that gives subject number n its status. Lapsed is never pushed: it is green until a past day.
func DemoDelta(n int) scanedge.Delta {
	d := scanedge.Delta{Subject: DemoSubject(n), Status: DemoStatus(n)}
	if d.Status == scanedge.Lapsed {
		d.Status, d.Until = scanedge.Green, demoLapse
	}
	return d
}

// DemoSplit is how many of subjects each issuer has, in the order of [DemoIssuers]: even, the first ones one more. An
// issuer with k subjects has the numbers 1 to k.
func DemoSplit(subjects int) []int {
	split := make([]int, len(DemoIssuers))
	for i := range split {
		split[i] = subjects / len(split)
		if i < subjects%len(split) {
			split[i]++
		}
	}
	return split
}

// demoSample is one subject of each status, of one issuer and the other by turns, as far as there are that many.
func demoSample(subjects int) []Sample {
	split := DemoSplit(subjects)
	sample := []Sample{}
	for i, n := range []int{1, 7, 13, 21, 29} {
		issuer := i % len(DemoIssuers)
		if n > split[issuer] {
			continue
		}
		name, subject := DemoIssuers[issuer], DemoSubject(n)
		sample = append(sample, Sample{
			Issuer: name, Subject: subject, Code: name + ":" + subject, Status: string(DemoStatus(n)),
		})
	}
	return sample
}
