package report

import (
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
)

// The elements of JUnit's XML that CI systems read.
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Time     float64     `xml:"time,attr"`
		When     string      `xml:"timestamp,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Class   string        `xml:"classname,attr"`
		Name    string        `xml:"name,attr"`
		Failure *junitFailure `xml:"failure"`
		Output  string        `xml:"system-out,omitempty"`
	}
	junitFailure struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// JUnit returns the report as JUnit's XML: a suite of the rules of validity and one of the SLOs.
func (r *Report) JUnit() ([]byte, error) {
	all := junitSuites{Suites: []junitSuite{r.suite("validity", r.rules()), r.suite("slo", r.kept())}}
	for _, s := range all.Suites {
		all.Tests, all.Failures = all.Tests+s.Tests, all.Failures+s.Failures
	}
	b, err := xml.MarshalIndent(all, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("report as JUnit: %w", err)
	}
	return append([]byte(xml.Header), append(b, '\n')...), nil
}

func (r *Report) suite(name string, cases []junitCase) junitSuite {
	s := junitSuite{Name: "bench." + name, Tests: len(cases), Time: r.Duration, When: r.Started.Format("2006-01-02T15:04:05"), Cases: cases}
	for i := range cases {
		cases[i].Class = s.Name
		if cases[i].Failure != nil {
			s.Failures++
		}
	}
	return s
}

// rules has a case for the run as a whole, one for each rule, and one for each reason that no rule gave.
func (r *Report) rules() []junitCase {
	whole := junitCase{Name: "the run can be believed"}
	if !r.Valid {
		whole.Failure = &junitFailure{Message: r.verdict()}
	}
	cases := []junitCase{whole}
	for _, rule := range r.Rules {
		c := junitCase{Name: rule.Name, Output: rule.Measured}
		if !rule.Kept {
			c.Failure = &junitFailure{Message: rule.Why}
		}
		cases = append(cases, c)
	}
	for _, why := range r.Reasons {
		if !slices.ContainsFunc(r.Rules, func(rule Rule) bool { return strings.Contains(rule.Why, why) }) {
			cases = append(cases, junitCase{Name: fmt.Sprintf("rule %d that was broken", len(cases)), Failure: &junitFailure{Message: why}})
		}
	}
	return cases
}

func (r *Report) kept() []junitCase {
	var cases []junitCase
	for _, s := range r.SLOs {
		c := junitCase{Name: s.Name, Output: s.Measured() + ", wanted " + s.Wanted()}
		if !s.Pass {
			c.Failure = &junitFailure{Message: s.String()}
			if s.Name == wrongAnswers {
				c.Failure.Text = r.examples()
			}
		}
		cases = append(cases, c)
	}
	return cases
}
