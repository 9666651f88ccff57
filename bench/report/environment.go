package report

import (
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
)

// Environment is what a figure depends on beside the program. What this system does not tell is empty or 0.
type Environment struct {
	CPU         string            `json:"cpu"`          // its model
	Processors  int               `json:"processors"`   // of the machine
	Memory      uint64            `json:"memory_bytes"` // of the machine
	Kernel      string            `json:"kernel"`
	OpenFiles   uint64            `json:"open_files"` // that a process may have
	Nice        int               `json:"nice"`       // of this process: below 0 it goes before the fleet, where both are on one machine
	Versions    map[string]string `json:"versions"`   // of what carries and records the load
	Commit      string            `json:"commit"`
	CommandLine []string          `json:"command_line"`
}

// modules whose versions a figure depends on.
var modules = []string{"github.com/tsenart/vegeta/v12", "github.com/valyala/fasthttp", "github.com/HdrHistogram/hdrhistogram-go"}

// Here returns the environment of this process.
func Here() Environment {
	e := Environment{
		CPU:         field(contents("/proc/cpuinfo"), "model name"),
		Processors:  runtime.NumCPU(),
		Memory:      1024 * number(field(contents("/proc/meminfo"), "MemTotal")),
		Kernel:      strings.TrimSpace(contents("/proc/sys/kernel/osrelease")),
		OpenFiles:   openFiles(contents("/proc/self/limits")),
		Nice:        niceness(contents("/proc/self/stat")),
		Versions:    map[string]string{"go": runtime.Version()},
		CommandLine: os.Args,
	}
	if build, ok := debug.ReadBuildInfo(); ok {
		e.built(build)
	}
	return e
}

// built adds what the build says of itself.
func (e *Environment) built(build *debug.BuildInfo) {
	for _, dep := range build.Deps {
		for _, name := range modules {
			if dep.Path == name {
				e.Versions[name] = dep.Version
			}
		}
	}
	changed := ""
	for _, s := range build.Settings {
		switch s.Key {
		case "vcs.revision":
			e.Commit = s.Value
		case "vcs.modified":
			if s.Value == "true" {
				changed = "+changes"
			}
		}
	}
	if e.Commit != "" {
		e.Commit += changed
	}
}

// contents is empty where there is no such file: not every system has /proc.
func contents(path string) string {
	b, _ := os.ReadFile(path)
	return string(b)
}

// field returns what follows "name:" in the first line that has it.
func field(text, name string) string {
	for line := range strings.Lines(text) {
		if key, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// number reads the digits that a text begins with.
func number(text string) uint64 {
	digits, _, _ := strings.Cut(text, " ")
	n, _ := strconv.ParseUint(digits, 10, 64)
	return n
}

// niceness finds the 19th field of /proc/self/stat; the second, a name in brackets, may have spaces.
func niceness(stat string) int {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 17 {
		return 0
	}
	n, _ := strconv.Atoi(fields[16])
	return n
}

// openFiles finds the soft limit in /proc/self/limits.
func openFiles(limits string) uint64 {
	for line := range strings.Lines(limits) {
		if rest, found := strings.CutPrefix(line, "Max open files"); found {
			return number(strings.TrimSpace(rest))
		}
	}
	return 0
}
