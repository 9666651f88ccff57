package fleet

import (
	"bytes"
	"io"
	"os"
	"slices"
	"strings"
)

// A process writes its output to a file itself, so that it may go on writing while it drains after the fleet's own process
// was killed; a pipe would be broken then, and SIGPIPE the end of it.
const (
	logLimit  = 10 << 20 // bytes; a longer log starts anew with the next life
	lastBytes = 64 << 10 // how much of a log's end is looked at
	lastCount = 20       // how many lines of it are shown
)

// openLog opens a log for appending and returns where the new part begins.
func openLog(path string) (*os.File, int64, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, 0, err
	}
	st, err := f.Stat()
	if err == nil && st.Size() <= logLimit {
		return f, st.Size(), nil
	}
	if err == nil {
		err = f.Truncate(0)
	}
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, 0, nil
}

// lastLines returns the last lines of the log, none from before from; of a process that crashed, the first lines of the
// crash, which say why. What cannot be read is no line.
func lastLines(path string, from int64) []string {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil
	}
	start := max(from, end-lastBytes)
	b, err := io.ReadAll(io.NewSectionReader(f, start, end-start))
	if err != nil {
		return nil
	}
	if start > from { // the first line is cut
		_, b, _ = bytes.Cut(b, []byte("\n"))
	}
	text := strings.TrimRight(string(b), "\n")
	if text == "" {
		return nil
	}
	lines := strings.Split(text, "\n")
	show := max(0, len(lines)-lastCount)
	if crash := slices.IndexFunc(lines, isCrash); crash >= 0 {
		show = min(show, crash)
	}
	return lines[show:min(len(lines), show+lastCount)]
}

// isCrash says whether the Go runtime begins its last report with this line.
func isCrash(line string) bool {
	return strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ")
}
