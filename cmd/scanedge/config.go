package main

import (
	"os"
	"slices"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const envPrefix = "SCANEDGE_"

// places are the flags of which each says whom to ask. They are one setting: where one is given, those of a weaker source do not
// count, or the token of one place would be brought to another.
var places = []string{"up", "origin", "edge"}

// configure fills the flags that were not given from the environment and, below it, from the YAML file. Verbs read flags alone.
func configure(cmd *cobra.Command) error {
	flags := cmd.Flags()
	k := koanf.New("\x00") // no delimiter: a key is a flag's name, whole
	path := flags.Lookup("config").Value.String()
	if path == "" {
		path = os.Getenv(envPrefix + "CONFIG")
	}
	if path != "" {
		if err := k.Load(file.Provider(path), yaml.Parser()); err != nil {
			return usageError("read settings from %s: %w", path, err)
		}
		for _, key := range k.Keys() {
			if flags.Lookup(key) == nil {
				return usageError("read settings from %s: %q is no setting of %s; see its --help", path,
					strings.ReplaceAll(key, "\x00", "."), cmd.CommandPath())
			}
		}
	}
	if err := fill(flags, environment(), "the environment"); err != nil {
		return err
	}
	return fill(flags, k, path)
}

// environment is the SCANEDGE_* variables by flag name. An empty one counts as not set.
func environment() *koanf.Koanf {
	k := koanf.New("\x00")
	_ = k.Load(env.Provider("", env.Opt{Prefix: envPrefix, TransformFunc: func(name, value string) (string, any) {
		if value == "" {
			return "", nil
		}
		return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(name, envPrefix)), "_", "-"), value
	}}), nil) // variables are text already: nothing can fail to parse
	return k
}

// fill sets the flags that nothing stronger has set.
func fill(flags *pflag.FlagSet, k *koanf.Koanf, source string) (err error) {
	placed := slices.ContainsFunc(places, flags.Changed)
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Changed || f.Name == "help" || !k.Exists(f.Name) || placed && slices.Contains(places, f.Name) || err != nil {
			return
		}
		value := k.String(f.Name)
		if list := k.Strings(f.Name); len(list) > 0 {
			value = strings.Join(list, ",")
		}
		if serr := flags.Set(f.Name, value); serr != nil {
			err = usageError("set %s to %q, from %s: %w", f.Name, value, source, serr)
		}
	})
	return err
}
