package report

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// File is the name of the report as JSON.
const File = "report.json"

// JSON returns the report as an indented object with a newline after it.
func (r *Report) JSON() ([]byte, error) {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("report as JSON: %w", err)
	}
	return append(b, '\n'), nil
}

// write puts a file into the folder, which must exist, by rename: a reader finds the one before or this one, never half of it.
func write(dir, name string, b []byte) error {
	path := filepath.Join(dir, name)
	if err := replace(path, b); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

func replace(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // does nothing once it is renamed
	_, err = f.Write(b)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// WriteFiles writes the report into the folder, which must exist, in each of its forms. report.json comes last: where it is the
// others are. What follows from the log of seconds is in the report from then on.
func (r *Report) WriteFiles(dir string) error {
	seconds, err := ReadSeconds(dir)
	if err != nil {
		return err
	}
	r.Spikes = spikes(seconds, r.wanted(latencyP99))
	for _, form := range []struct {
		name string
		make func() ([]byte, error)
	}{
		{TextFile, func() ([]byte, error) { return []byte(r.text()), nil }},
		{JUnitFile, r.JUnit},
		{PageFile, func() ([]byte, error) { return r.Page(seconds) }},
		{File, r.JSON},
	} {
		b, err := form.make()
		if err == nil {
			err = write(dir, form.name, b)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
