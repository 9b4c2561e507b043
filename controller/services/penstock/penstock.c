#include "controller/services/penstock/penstock.h"

static const struct pen_operation operations[] = {
    {"CreateAgentToken", "penstock:CreateAgentToken", pen_create_agent_token},
    {"CreateConnection", "penstock:CreateConnection", pen_create_connection},
    {"CreateRepository", "penstock:CreateRepository", pen_create_repository},
    {"DeleteConnection", "penstock:DeleteConnection", pen_delete_connection},
    {"DeleteRepository", "penstock:DeleteRepository", pen_delete_repository},
    {"DrainAgent", "penstock:DrainAgent", pen_drain_agent},
    {"Explain", "penstock:Explain", pen_explain},
    {"GetCollection", "penstock:GetCollection", pen_get_collection},
    {"GetHealth", "penstock:GetHealth", pen_get_health},
    {"GetLogs", "penstock:GetLogs", pen_get_logs},
    {"KillExecution", "penstock:KillExecution", pen_kill_execution},
    {"ListAgents", "penstock:ListAgents", pen_list_agents},
    {"ListConnections", "penstock:ListConnections", pen_list_connections},
    {"ListDeploymentWindows", "penstock:ListDeploymentWindows", pen_list_deployment_windows},
    {"ListRepositories", "penstock:ListRepositories", pen_list_repositories},
    {"ResolveAction", "penstock:ResolveAction", pen_resolve_action},
    {"RetryBesideAbandoned", "penstock:RetryBesideAbandoned", pen_retry_beside_abandoned},
    {"RevokeAgent", "penstock:RevokeAgent", pen_revoke_agent},
    {"StartCollection", "penstock:StartCollection", pen_start_collection},
    {"UndrainAgent", "penstock:UndrainAgent", pen_undrain_agent},
    {"ValidatePipeline", "penstock:ValidatePipeline", pen_validate_pipeline},
    {"WatchExecution", "penstock:WatchExecution", pen_watch_execution},
};

const struct pen_service pen_penstock = {
    .catalog = &pen_penstock_catalog,
    .operations = operations,
    .operations_count = sizeof operations / sizeof operations[0],
};
