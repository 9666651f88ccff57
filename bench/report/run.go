package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/scanedge/scanedge/bench/load"
)

// Names of a run's files, beside [File].
const (
	RunFile     = "run.json"
	SecondsFile = load.SecondsFile
	TextFile    = "report.txt"
	JUnitFile   = "junit.xml"
	PageFile    = "report.html"
)

// Run is what was asked, as it is known before the first visit.
type Run struct {
	Mode     string   `json:"mode"`
	Scenario string   `json:"scenario"`
	Schedule string   `json:"schedule"` // as a formula
	Visits   uint64   `json:"visits"`   // that are planned
	Duration float64  `json:"duration_s"`
	Seed     uint64   `json:"seed"`
	Edges    []string `json:"edges"`
	Targets  Targets  `json:"targets"`

	Started     time.Time   `json:"started"`
	Environment Environment `json:"environment"`
	Version     string      `json:"version"` // of scanedge
}

// Modes of playing a day.
const (
	Endurance = "endurance"
	Rhythm    = "rhythm"
	Slice     = "slice"
)

// shows says what a run of the mode proves and what it does not; nothing of a mode that it does not know.
func shows(mode string) (proves, not string) {
	switch mode {
	case Endurance:
		return "every visit is carried in its order, at one constant rate from the first to the last",
			"that peaks and spikes are: the rate is a plateau that no city ever had"
	case Rhythm:
		return "the day's own rates are carried, with its peaks and spikes at their true height",
			"that all of the day's visits are: its time is squeezed and its visits are thinned, both by the same factor"
	case Slice:
		return "one hour of the day is carried as it was, neither squeezed nor thinned",
			"that the other hours are, nor what builds up over a whole day"
	}
	return "", ""
}

// Begin makes a folder ready for a run: results of an earlier one go, so that nobody takes them for this one's, and run.json
// says what was asked.
func Begin(dir string, run *Run) error {
	for _, name := range []string{SecondsFile, File, TextFile, JUnitFile, PageFile} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("making %s ready for a run: %w", dir, err)
		}
	}
	b, err := json.MarshalIndent(run, "", "  ")
	if err != nil {
		return fmt.Errorf("%s as JSON: %w", RunFile, err)
	}
	return write(dir, RunFile, append(b, '\n'))
}
