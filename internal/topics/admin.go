package topics

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ioc.local/internal/cluster"
)

// adminTimeout is what the cluster is given to make a change, in which each broker takes part.
const adminTimeout = 30 * time.Second

// Admin asks a cluster for its topics and changes them.
type Admin struct{ client *kgo.Client }

// Open makes an Admin. It connects with the first question.
func Open(to *cluster.Cluster) (*Admin, error) {
	client, err := kgo.NewClient(to.Options("ioc-topics")...)
	if err != nil {
		return nil, fmt.Errorf("connecting to Kafka: %w", err)
	}
	return &Admin{client: client}, nil
}

// Close ends the connections.
func (a *Admin) Close() { a.client.Close() }

// refused gives the error of an answer, with what the broker said of it.
func refused(code int16, message *string) error {
	err := kerr.ErrorForCode(code)
	if err != nil && message != nil && *message != "" {
		return fmt.Errorf("%w (%s)", err, *message)
	}
	return err
}

// existing returns the number of partitions of those topics that exist.
func (a *Admin) existing(ctx context.Context, names []string) (map[string]int, error) {
	request := kmsg.NewPtrMetadataRequest()
	for _, name := range names {
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = kmsg.StringPtr(name)
		request.Topics = append(request.Topics, topic)
	}
	answer, err := request.RequestWith(ctx, a.client)
	if err != nil {
		return nil, fmt.Errorf("asking for the topics: %w", err)
	}
	partitions := map[string]int{}
	for _, t := range answer.Topics {
		switch err := refused(t.ErrorCode, nil); {
		case errors.Is(err, kerr.UnknownTopicOrPartition):
		case err != nil:
			return nil, fmt.Errorf("asking for the topic %s: %w", *t.Topic, err)
		default:
			partitions[*t.Topic] = len(t.Partitions)
		}
	}
	return partitions, nil
}

// settings returns the settings in effect of each topic.
func (a *Admin) settings(ctx context.Context, names []string) (map[string]map[string]string, error) {
	request := kmsg.NewPtrDescribeConfigsRequest()
	for _, name := range names {
		resource := kmsg.NewDescribeConfigsRequestResource()
		resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeTopic, name
		request.Resources = append(request.Resources, resource)
	}
	settings := map[string]map[string]string{}
	if len(names) == 0 {
		return settings, nil
	}
	answer, err := request.RequestWith(ctx, a.client)
	if err != nil {
		return nil, fmt.Errorf("asking for the settings of the topics: %w", err)
	}
	for _, r := range answer.Resources {
		if err := refused(r.ErrorCode, r.ErrorMessage); err != nil {
			return nil, fmt.Errorf("asking for the settings of %s: %w", r.ResourceName, err)
		}
		settings[r.ResourceName] = values(r.Configs)
	}
	return settings, nil
}

func values(configs []kmsg.DescribeConfigsResponseResourceConfig) map[string]string {
	values := map[string]string{}
	for _, c := range configs {
		if c.Value != nil {
			values[c.Name] = *c.Value
		}
	}
	return values
}

func (a *Admin) create(ctx context.Context, t Topic) error {
	request := kmsg.NewPtrCreateTopicsRequest()
	request.TimeoutMillis = int32(adminTimeout.Milliseconds())
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = t.Name, int32(t.Partitions), int16(t.Replication)
	for _, s := range t.Settings {
		setting := kmsg.NewCreateTopicsRequestTopicConfig()
		setting.Name, setting.Value = s.Key, kmsg.StringPtr(s.Value)
		topic.Configs = append(topic.Configs, setting)
	}
	request.Topics = append(request.Topics, topic)
	answer, err := request.RequestWith(ctx, a.client)
	if err != nil {
		return err
	}
	for _, t := range answer.Topics {
		if err := refused(t.ErrorCode, t.ErrorMessage); err != nil {
			return err
		}
	}
	return nil
}

func (a *Admin) grow(ctx context.Context, topic string, partitions int) error {
	request := kmsg.NewPtrCreatePartitionsRequest()
	request.TimeoutMillis = int32(adminTimeout.Milliseconds())
	t := kmsg.NewCreatePartitionsRequestTopic()
	t.Topic, t.Count = topic, int32(partitions)
	request.Topics = append(request.Topics, t)
	answer, err := request.RequestWith(ctx, a.client)
	if err != nil {
		return err
	}
	for _, t := range answer.Topics {
		if err := refused(t.ErrorCode, t.ErrorMessage); err != nil {
			return err
		}
	}
	return nil
}

func (a *Admin) set(ctx context.Context, topic string, s Setting) error {
	request := kmsg.NewPtrIncrementalAlterConfigsRequest()
	resource := kmsg.NewIncrementalAlterConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeTopic, topic
	setting := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	setting.Name, setting.Op, setting.Value = s.Key, kmsg.IncrementalAlterConfigOpSet, kmsg.StringPtr(s.Value)
	resource.Configs = append(resource.Configs, setting)
	request.Resources = append(request.Resources, resource)
	answer, err := request.RequestWith(ctx, a.client)
	if err != nil {
		return err
	}
	for _, r := range answer.Resources {
		if err := refused(r.ErrorCode, r.ErrorMessage); err != nil {
			return err
		}
	}
	return nil
}

var resourceTypes = map[string]kmsg.ACLResourceType{"topic": kmsg.ACLResourceTypeTopic, "group": kmsg.ACLResourceTypeGroup}

var operations = map[string]kmsg.ACLOperation{
	"Read": kmsg.ACLOperationRead, "Write": kmsg.ACLOperationWrite,
	"Describe": kmsg.ACLOperationDescribe, "DescribeConfigs": kmsg.ACLOperationDescribeConfigs,
}

// missing returns the grants that a principal lacks. Only grants on the very name, from any host, count; what a prefix or
// an operation that implies others allows is granted once more, which does no harm. governed are the topics on whose very
// name anybody has a permission.
func (a *Admin) missing(ctx context.Context, principal string, wanted []Grant) (missing []Grant, governed map[string]bool, err error) {
	request := kmsg.NewPtrDescribeACLsRequest()
	request.ResourceType, request.ResourcePatternType = kmsg.ACLResourceTypeAny, kmsg.ACLResourcePatternTypeAny
	request.Operation, request.PermissionType = kmsg.ACLOperationAny, kmsg.ACLPermissionTypeAny
	answer, err := request.RequestWith(ctx, a.client)
	if err == nil {
		err = refused(answer.ErrorCode, answer.ErrorMessage)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("asking what %s is allowed: %w", principal, err)
	}
	governed = map[string]bool{}
	for _, r := range answer.Resources {
		if r.ResourceType == kmsg.ACLResourceTypeTopic && r.ResourcePatternType == kmsg.ACLResourcePatternTypeLiteral && len(r.ACLs) > 0 {
			governed[r.ResourceName] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(wanted), func(g Grant) bool {
		return slices.ContainsFunc(answer.Resources, func(r kmsg.DescribeACLsResponseResource) bool {
			return r.ResourceType == resourceTypes[g.Resource] && r.ResourceName == g.Name && r.ResourcePatternType == kmsg.ACLResourcePatternTypeLiteral &&
				slices.ContainsFunc(r.ACLs, func(acl kmsg.DescribeACLsResponseResourceACL) bool {
					return acl.Principal == principal && acl.Host == "*" && acl.Operation == operations[g.Operation] && acl.PermissionType == kmsg.ACLPermissionTypeAllow
				})
		})
	}), governed, nil
}

func (a *Admin) grant(ctx context.Context, principal string, g Grant) error {
	request := kmsg.NewPtrCreateACLsRequest()
	creation := kmsg.NewCreateACLsRequestCreation()
	creation.ResourceType, creation.ResourceName, creation.ResourcePatternType = resourceTypes[g.Resource], g.Name, kmsg.ACLResourcePatternTypeLiteral
	creation.Principal, creation.Host = principal, "*"
	creation.Operation, creation.PermissionType = operations[g.Operation], kmsg.ACLPermissionTypeAllow
	request.Creations = append(request.Creations, creation)
	answer, err := request.RequestWith(ctx, a.client)
	if err != nil {
		return err
	}
	for _, r := range answer.Results {
		if err := refused(r.ErrorCode, r.ErrorMessage); err != nil {
			return err
		}
	}
	return nil
}

// brokerSettings returns the settings in effect of one broker that answers.
func (a *Admin) brokerSettings(ctx context.Context) (map[string]string, error) {
	metadata, err := kmsg.NewPtrMetadataRequest().RequestWith(ctx, a.client)
	if err != nil {
		return nil, fmt.Errorf("asking for the brokers: %w", err)
	}
	if len(metadata.Brokers) == 0 {
		return nil, errors.New("asking for the brokers: there are none")
	}
	request := kmsg.NewPtrDescribeConfigsRequest()
	resource := kmsg.NewDescribeConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeBroker, fmt.Sprint(metadata.Brokers[0].NodeID)
	request.Resources = append(request.Resources, resource)
	answer, err := request.RequestWith(ctx, a.client)
	if err != nil {
		return nil, fmt.Errorf("asking for the settings of a broker: %w", err)
	}
	if len(answer.Resources) != 1 {
		return nil, fmt.Errorf("asking for the settings of a broker: the answer is about %d", len(answer.Resources))
	}
	if err := refused(answer.Resources[0].ErrorCode, answer.Resources[0].ErrorMessage); err != nil {
		return nil, fmt.Errorf("asking for the settings of a broker: %w", err)
	}
	return values(answer.Resources[0].Configs), nil
}

// groupProtocol returns what the members of a group have in common, such as consumer; empty for a group without any.
func (a *Admin) groupProtocol(ctx context.Context, group string) (string, error) {
	request := kmsg.NewPtrDescribeGroupsRequest()
	request.Groups = []string{group}
	answer, err := request.RequestWith(ctx, a.client)
	if err != nil {
		return "", fmt.Errorf("asking for the group %s: %w", group, err)
	}
	for _, g := range answer.Groups {
		err := refused(g.ErrorCode, g.ErrorMessage)
		if errors.Is(err, kerr.GroupIDNotFound) {
			continue // Kafka 4 says so of a group that nobody was a member of; and of one of another kind
		}
		if err != nil {
			return "", fmt.Errorf("asking for the group %s: %w", group, err)
		}
		return strings.ToLower(g.ProtocolType), nil
	}
	return "", nil
}
