//go:build !linux

package load

func processorTimes() (t processorTime, ok bool) { return t, false }

func isPortless(error) bool { return false }
