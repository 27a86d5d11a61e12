"""Which values are measurements, and what is sensible for them. Whatever is not named here must be equal."""

import re

# A scrape that tells less than this told nothing.
LEAST_SAMPLES = 500

# Labels whose value is of the one server, or of the moment; that they are there is still checked.
OF_ITS_OWN = {
    "redis_instance_info": {"process_id", "redis_build_id", "redis_version", "run_id", "tcp_port"},
    "redis_connected_clients_details": {"created_at", "idle_since", "omem"},
}
# Directives that differ between the two servers of the test.
OWN_DIRECTIVES = {"dir", "port"}


def without_chance(sample):
    """The sample with the labels that are of its own blanked."""
    name, labels = sample
    own = OF_ITS_OWN.get(name, set())
    if name == "redis_config_key_value" and dict(labels)["key"] in OWN_DIRECTIVES:
        own = {"value"}
    return name, tuple((label, "" if label in own else value) for label, value in labels)


def near(low, high):
    """Between these multiples of Redis' value."""
    def check(value, redis, _):
        return None if low * redis <= value <= high * redis else f"{value:g} is not within {low} to {high} of {redis:g}"
    return check


def within(low, high):
    def check(value, *_):
        return None if low <= value <= high else f"{value:g} is not within {low:g} to {high:g}"
    return check


def any_number(value, *_):
    return None if value >= 0 else f"{value:g} is negative"


def more_by(count):
    def check(value, redis, _):
        return None if value == redis + count else f"{value:g} is not {redis + count:g}"
    return check


def without_info(more):
    """Polls are INFO, and how many there were is chance."""
    def check(value, redis, calls):
        value, redis = value - calls["sessile"], redis - calls["redis"]
        return None if value == redis + more else f"{value:g} is not {redis + more:g}, INFO apart"
    return check


def blocking(value, redis, _):
    # Redis 7.2 counts a command that blocks when it is done, 7.0 when it begins; one is done, and one blocks.
    return None if (value, redis) == (1, 2) else f"{value:g} is not 1"


DURATION = "its duration"
MEMORY = "another layout, the same data"
MOMENT = "a figure of the moment"
RULES = [
    # Times that commands and scrapes took.
    (r"redis_commands_duration_seconds_total\{.*", within(0, 60), DURATION),
    (r"redis_latency_percentiles_usec\{.*", within(0, 60e6), DURATION),
    (r"redis_latency_percentiles_usec_sum\{.*", within(0, 60e6), DURATION),
    (r"redis_last_slow_execution_duration_seconds", within(0, 60), DURATION),
    (r"redis_exporter_.*_seconds(_sum)?", within(0, 60), DURATION),
    (r"redis_cpu_(sys|user)_(main_thread_)?seconds_total", within(0, 60), DURATION),
    (r"redis_uptime_in_seconds", within(0, 60), DURATION),
    (r"redis_start_time_seconds", near(0.999999, 1.000001), "one starts after the other"),
    (r"redis_rdb_last_save_timestamp_seconds", near(0.999999, 1.000001), "at first the time of the start"),
    # Memory.
    (r"redis_allocator_(active|allocated)_bytes", near(0.5, 1.5), MEMORY),
    (r"redis_(allocator_resident|memory_used_rss)_bytes", near(0.5, 3), MEMORY),
    (r"redis_allocator_(frag|rss)_ratio", within(0.9, 3), MEMORY),
    (r"redis_allocator_(frag|rss)_bytes", within(0, 30e6), MEMORY),
    (r"redis_memory_used_(peak_)?bytes", near(0.5, 1.5), MEMORY),
    (r"redis_memory_used_dataset_bytes", near(0.5, 1.5), MEMORY),
    (r"redis_memory_used_overhead_bytes", within(1, 10e6), MEMORY),
    (r"redis_memory_used_startup_bytes", within(1, 10e6), MEMORY),
    (r"redis_memory_used_(lua|scripts)_bytes", within(1, 1e6), MEMORY),
    (r"redis_mem_fragmentation_ratio", within(0.9, 3), MEMORY),
    (r"redis_mem_fragmentation_bytes", within(0, 30e6), MEMORY),
    (r"redis_mem_clients_normal", within(1, 1e6), MEMORY),
    (r"redis_mem_not_counted_for_eviction_bytes", any_number, "a buffer that Sessile's journal does not have"),
    (r"redis_client_recent_max_(input|output)_buffer_bytes", any_number, MOMENT),
    (r"redis_aof_current_size_bytes", near(0.5, 1.5), "effects in place of commands"),
    # Counts that depend on how bytes arrive.
    (r"redis_net_(input|output)_bytes_total", near(0.5, 3), "INFO's own text, and how often it was asked for"),
    (r"redis_total_(reads|writes)_processed", within(1, 1e5), "pipelined commands come in as few reads as there are"),
    (r'redis_(commands_total|latency_percentiles_usec_count)\{cmd="info"\}', within(1, 1e5), "polls"),
    (r"redis_commands_processed_total", without_info(-1), "polls; the one that blocks is not done, see `blocking`"),
    (r"redis_keyspace_hits_total", more_by(1), "XREADGROUP looks its stream up once more"),
    (r"redis_rdb_changes_since_last_save", more_by(1), "XREADGROUP changes its group, its consumer and what is pending"),
    (r'redis_(commands_total|latency_percentiles_usec_count)\{cmd="blpop"\}', blocking, "7.2"),
    # The rest.
    (r"redis_process_id", within(2, 1e9), "its own"),
    (r'redis_config_value\{key="port"\}', within(1, 65535), "its own"),
    (r"redis_stream_group_consumer_idle_seconds\{.*", within(0, 60), MOMENT),
    (r"redis_expired_stale_percentage", within(0, 100), "Redis' estimate from its own samples"),
    (r"redis_db_avg_ttl_seconds\{.*", near(0.9, 1.1), "an estimate"),
]
RULES = [(re.compile(pattern), check) for pattern, check, _ in RULES]


def text(sample):
    name, labels = sample
    return name + ("{" + ",".join(f'{k}="{v}"' for k, v in labels) + "}" if labels else "")


def wrong(sample, redis, sessile):
    """Why the sample is not what it should be, or None. `redis` and `sessile` are all samples of either."""
    if sample not in sessile:
        return "missing"
    info = ("redis_commands_total", (("cmd", "info"),))
    calls = {"redis": redis[info], "sessile": sessile[info]}
    value, expected = sessile[sample], redis[sample]
    for pattern, check in RULES:
        if pattern.fullmatch(text(sample)):
            return check(value, expected, calls)
    return None if value == expected else f"{value:g} is not {expected:g}"
