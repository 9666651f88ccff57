//go:build !linux

package edge

func markMemory(lines int) []markLine { return make([]markLine, lines) }
