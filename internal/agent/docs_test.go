package agent

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestTheExampleConfigurationIsGood(t *testing.T) {
	cfg, err := LoadConfig(filepath.Join("..", "..", "packaging", "systemd", "agent.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.Listeners) != 2 || cfg.SealingKey.Credential == "" {
		t.Errorf("%+v", cfg)
	}
}

// The pages name every reason and every setting, so that nobody has to read the code for them.
func TestThePageNamesEveryReasonAndSetting(t *testing.T) {
	page := ""
	for _, name := range []string{"agent.md", "verifying.md"} {
		content, err := os.ReadFile(filepath.Join("..", "..", "docs", name))
		if err != nil {
			t.Fatal(err)
		}
		page += string(content)
	}
	for _, r := range reasons {
		if !strings.Contains(page, "`"+string(r)+"`") {
			t.Errorf("the reason %s is missing", r)
		}
	}
	for _, n := range notes {
		if !strings.Contains(page, "`"+string(n)+"`") {
			t.Errorf("the note %s is missing", n)
		}
	}
	var settings func(prefix string, of reflect.Type)
	settings = func(prefix string, of reflect.Type) {
		for i := range of.NumField() {
			f := of.Field(i)
			name := prefix + f.Tag.Get("yaml")
			switch {
			case f.Type.Kind() == reflect.Struct:
				settings(name+".", f.Type)
			case f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct:
				settings(name+"[].", f.Type.Elem())
			default:
				short := "`" + f.Tag.Get("yaml") + "`"
				if !strings.Contains(page, "`"+name+"`") && !strings.Contains(page, short) {
					t.Errorf("the setting %s is missing", name)
				}
			}
		}
	}
	settings("", reflect.TypeFor[Config]())
}

// The unit is one that systemd takes, and shows what else agent.yaml may need.
func TestTheUnitIsGood(t *testing.T) {
	content, err := os.ReadFile(filepath.Join("..", "..", "packaging", "systemd", "postseal-agent.service"))
	if err != nil {
		t.Fatal(err)
	}
	unit := string(content)
	for _, line := range []string{"SupplementaryGroups=postfix\n", "#SupplementaryGroups=systemd-journal\n"} {
		if !strings.Contains(unit, "\n"+line) {
			t.Errorf("%s is missing", line)
		}
	}
	need(t, "systemd-analyze", haveProgram("systemd-analyze"))
	// The programs that it starts are not on this machine.
	for _, program := range []string{"/usr/local/bin/postseal", "/bin/kill"} {
		unit = strings.ReplaceAll(unit, "="+program+" ", "=/bin/sh ")
	}
	path := filepath.Join(t.TempDir(), "postseal-agent.service")
	if err := os.WriteFile(path, []byte(unit), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("systemd-analyze", "verify", "--man=no", path).CombinedOutput(); err != nil || strings.Contains(string(out), "postseal-agent.service") {
		t.Errorf("%v\n%s", err, out)
	}
}
