package contract_test

import (
	"bytes"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"text/template"

	"github.com/goccy/go-yaml"

	"ioc.local/deploy/contract"
	"ioc.local/ingest/event"
)

// topic is a channel, with the types that are sent there unless agreed otherwise.
type topic struct {
	Name, Address, Doc string
	Types              []string
}

var topicDocs = map[string]string{
	"dossier":        "What happens to dossiers.",
	"authentication": "Authentications, electronic identities and wallets.",
	"data":           "Queries to the population database, and the quality of data.",
	"programme":      "Registers and official figures.",
}

// asyncapi is the AsyncAPI document.
func asyncapi(t *testing.T) []byte {
	t.Helper()
	var topics []topic
	for _, e := range event.Types() {
		i := slices.IndexFunc(topics, func(p topic) bool { return p.Address == e.Topic })
		if i < 0 {
			name := strings.TrimSuffix(strings.TrimPrefix(e.Topic, "ioc."), ".v1")
			i, topics = len(topics), append(topics, topic{Name: name, Address: e.Topic, Doc: topicDocs[name]})
		}
		topics[i].Types = append(topics[i].Types, e.Short)
	}
	var b bytes.Buffer
	err := template.Must(template.ParseFiles("testdata/asyncapi.yaml.tmpl")).Execute(&b, map[string]any{
		"Version": event.Version, "Topics": topics, "Types": event.Types(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// The document is well-formed, its channels carry all types in both modes, and its references lead somewhere.
func TestAsyncAPI(t *testing.T) {
	content, err := fs.ReadFile(contract.Files(), "asyncapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var document map[string]any
	if err := yaml.UnmarshalWithOptions(content, &document, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	channels := document["channels"].(map[string]any)
	if len(channels) != 4 || len(document["operations"].(map[string]any)) != 4 {
		t.Errorf("%d channels", len(channels))
	}
	for name, channel := range channels {
		messages := channel.(map[string]any)["messages"].(map[string]any)
		for _, e := range event.Types() {
			if messages[e.Short] == nil || messages[e.Short+".binary"] == nil {
				t.Errorf("channel %s lacks %s", name, e.Short)
			}
		}
		if topicDocs[name] == "" {
			t.Errorf("channel %s has no description", name)
		}
	}
	references := 0
	var follow func(v any)
	follow = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, element := range v {
				follow(element)
			}
		case map[string]any:
			if target, ok := v["$ref"].(string); ok {
				references++
				file, pointer, _ := strings.Cut(target, "#")
				var root any = document
				if file != "" {
					root = readJSON(t, strings.TrimPrefix(file, "./"))
				}
				if !resolves(root, pointer) {
					t.Errorf("nothing at %s", target)
				}
			}
			for _, member := range v {
				follow(member)
			}
		}
	}
	follow(document)
	if want := 4*2*len(event.Types()) + 4 + 2*2*len(event.Types()); references != want {
		t.Errorf("%d references, want %d", references, want)
	}
}

// resolves follows a JSON pointer.
func resolves(root any, pointer string) bool {
	if pointer == "" {
		return true
	}
	for _, name := range strings.Split(strings.TrimPrefix(pointer, "/"), "/") {
		object, ok := root.(map[string]any)
		if !ok || object[name] == nil {
			return false
		}
		root = object[name]
	}
	return true
}
