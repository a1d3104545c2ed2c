package topics

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// classicProtocol is what the members of a consumer group have in common.
const classicProtocol = "consumer"

// Check finds settings of topics, brokers and the group that lose events or stop ingestion (dangers, each with what to
// do), and others that are worth knowing (notes). Topics that do not exist are left out. It changes nothing.
func (a *Admin) Check(ctx context.Context, cfg Config) (dangers, notes []string, err error) {
	names := append([]string{}, cfg.Topics...)
	if cfg.DeadLetterTopic != "" {
		names = append(names, cfg.DeadLetterTopic)
	}
	partitions, err := a.existing(ctx, names)
	if err != nil {
		return nil, nil, err
	}
	present := make([]string, 0, len(names))
	for _, name := range names {
		if partitions[name] > 0 {
			present = append(present, name)
		}
	}
	settings, err := a.settings(ctx, present)
	if errors.Is(err, kerr.TopicAuthorizationFailed) {
		notes = append(notes, fmt.Sprintf("the settings of the topics cannot be looked at: %v; allow DescribeConfigs (ioc topics print)", err))
	} else if err != nil {
		return nil, nil, err
	}
	var createTime []string
	for _, name := range present {
		has, ok := settings[name]
		if !ok {
			continue
		}
		letters := name == cfg.DeadLetterTopic
		if strings.Contains(has[cleanupPolicy], compacts) {
			dangers = append(dangers, compactedText(name, has[cleanupPolicy]))
		}
		kept, err := strconv.ParseInt(has[retention], 10, 64)
		kept = min(kept, math.MaxInt64/int64(time.Millisecond)) // for ever
		switch keeps := time.Duration(kept) * time.Millisecond; {
		case err != nil:
		case letters && (kept < 0 || keeps > 2*cfg.DeadLetterRetention):
			notes = append(notes, fmt.Sprintf("topic %s keeps payloads of rejected records for %s; %s were configured", name, days(kept), cfg.DeadLetterRetention))
		case !letters && kept >= 0 && keeps < minRetention:
			dangers = append(dangers, fmt.Sprintf("topic %s keeps events for %s only: when ingestion is down for longer they are lost; mend it with: ioc topics apply", name, keeps))
		}
		if size, err := strconv.ParseInt(has[retentionBytes], 10, 64); err == nil && size >= 0 && !letters {
			notes = append(notes, fmt.Sprintf("topic %s keeps %d bytes of each partition only (%s): when more arrives while ingestion is down the oldest events are lost, however young they are; lift the limit with: kafka-configs.sh --alter --topic %s --add-config %s=-1",
				name, size, retentionBytes, name, retentionBytes))
		}
		if size, err := strconv.ParseInt(has[maxMessage], 10, 64); err == nil && size < eventBytes {
			notes = append(notes, fmt.Sprintf("topic %s takes batches of %d bytes only (%s): larger ones are refused to their producers; ioc topics apply allows %d", name, size, maxMessage, eventBytes))
		}
		if has[timestampType] != logAppendTime {
			createTime = append(createTime, name)
		}
	}
	if len(createTime) > 0 {
		notes = append(notes, fmt.Sprintf("retention goes by producers' clocks (%s=CreateTime) in %s: old events that are sent again are deleted early; ioc topics apply sets %s",
			timestampType, strings.Join(createTime, ", "), logAppendTime))
	}
	moreDangers, moreNotes, err := a.checkGroup(ctx, cfg)
	return append(dangers, moreDangers...), append(notes, moreNotes...), err
}

// days says a time in milliseconds for people.
func days(milliseconds int64) string {
	if milliseconds < 0 {
		return "ever"
	}
	return (time.Duration(milliseconds) * time.Millisecond).String()
}

// checkGroup looks at what becomes of the committed offsets, which are the state of ingestion.
func (a *Admin) checkGroup(ctx context.Context, cfg Config) (dangers, notes []string, err error) {
	const key = "offsets.retention.minutes"
	broker, err := a.brokerSettings(ctx)
	if errors.Is(err, kerr.ClusterAuthorizationFailed) {
		broker, err = nil, nil // what a broker is set to is often not for its users
	}
	if err != nil {
		return nil, nil, err
	}
	if minutes, err := strconv.ParseInt(broker[key], 10, 64); err == nil {
		switch keeps := time.Duration(minutes) * time.Minute; {
		case keeps < minRetention:
			dangers = append(dangers, fmt.Sprintf("the broker forgets the offsets of a group without members after %s (%s=%d): when ingestion is down for longer its partitions stop; set it to 10080 or more", keeps, key, minutes))
		case keeps < cfg.Retention:
			notes = append(notes, fmt.Sprintf("the broker forgets the offsets of a group without members after %s (%s=%d), sooner than events are deleted", keeps, key, minutes))
		}
	}
	protocol, err := a.groupProtocol(ctx, cfg.Group)
	if errors.Is(err, kerr.GroupAuthorizationFailed) {
		dangers, err = append(dangers, fmt.Sprintf("%v; allow Read and Describe (ioc topics print)", err)), nil
	}
	if err == nil && protocol != "" && protocol != classicProtocol {
		dangers = append(dangers, fmt.Sprintf("the group %s is used by something else (protocol %q): ioc cannot join it; give one of the two another kafka.group", cfg.Group, protocol))
	}
	return dangers, notes, err
}
