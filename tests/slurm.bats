# pipelines/slurm on a cluster: slurmctld and two slurmd, each in a network namespace of its own, on a bridge. Everything
# of it (configuration, keys, sockets, logs) is in the test's folder, every process in the namespaces.
load helper

parts=$TOP/pipelines/demo/parts
model=$TOP/pipelines/demo/rings.onnx

setup() {
	local program
	[ "$(id -u)" -eq 0 ] || skip "not root: no network namespaces"
	for program in slurmctld slurmd munged ip nsenter; do
		command -v "$program" >/dev/null || skip "no $program here"
	done
	cd "$BATS_TEST_TMPDIR" || return
	net=andon$$
	ip netns add $net.head 2>why || skip "no network namespaces: $(cat why)"
	db=$BATS_TEST_TMPDIR/out.db keys=''
	export SLURM_CONF=$BATS_TEST_TMPDIR/slurm.conf
	network
	cluster
}

teardown() {
	local space
	[ -z "${net:-}" ] && return
	end_started
	[ ! -e munged.pid ] || kill -9 "$(cat munged.pid)"
	for space in $net.head $net.node1 $net.node2; do
		ip netns pids "$space" 2>/dev/null | xargs -r kill -9
		ip netns del "$space" 2>/dev/null || true
	done
	[ "${BATS_TEST_COMPLETED:-0}" = 1 ] || tail -n 15 log/slurmctld andon-infer-*.log head.log
}

# at SPACE COMMAND…: not `ip netns exec`, which mounts /sys anew, and slurmd then finds no processors.
at() { nsenter --net="/run/netns/$net.$1" "${@:2}"; }

network() {
	local i
	at head ip link set lo up
	at head ip link add line type bridge
	at head ip addr add 10.77.0.1/24 dev line
	at head ip link set line up
	for i in 1 2; do
		ip netns add "$net.node$i"
		at head ip link add "node$i" type veth peer name eth0 netns "$net.node$i"
		at head ip link set "node$i" master line up
		at "node$i" ip link set lo up
		at "node$i" ip addr add "10.77.0.1$i/24" dev eth0
		at "node$i" ip link set eth0 up
	done
}

# cred_expire is how long Slurm lets a requeued job wait, SlurmdTimeout after how many seconds a silent node is down.
configuration() {
	cat <<-END
	ClusterName=line
	SlurmctldHost=head(10.77.0.1)
	AuthInfo=socket=$PWD/munge.sock,cred_expire=5
	SlurmUser=root
	StateSaveLocation=$PWD/state
	SlurmdSpoolDir=$PWD/spool-%n
	SlurmctldPidFile=$PWD/slurmctld.pid
	SlurmdPidFile=$PWD/slurmd-%n.pid
	SlurmctldLogFile=$PWD/log/slurmctld
	SlurmdLogFile=$PWD/log/slurmd-%n
	ProctrackType=proctrack/linuxproc
	TaskPlugin=task/none
	SwitchType=switch/none
	JobAcctGatherType=jobacct_gather/none
	AccountingStorageType=accounting_storage/none
	SchedulerParameters=sched_interval=2,bf_interval=2
	SelectType=select/cons_tres
	SelectTypeParameters=CR_CPU
	ReturnToService=2
	SlurmdTimeout=15
	TCPTimeout=5
	MessageTimeout=30
	KillWait=5
	SlurmdParameters=config_overrides
	NodeName=node1 NodeHostname=node1 NodeAddr=10.77.0.11 Port=6818 CPUs=4 RealMemory=8000
	NodeName=node2 NodeHostname=node2 NodeAddr=10.77.0.12 Port=6818 CPUs=1 RealMemory=8000
	PartitionName=line Nodes=node1,node2 Default=YES MaxTime=INFINITE State=UP
	END
}

cluster() {
	local i
	mkdir -p state log
	configuration >slurm.conf
	mungekey --create --keyfile=munge.key
	munged --force --key-file="$PWD/munge.key" --socket="$PWD/munge.sock" --pid-file="$PWD/munged.pid" \
		--log-file="$PWD/log/munged" --seed-file="$PWD/munge.seed" --num-threads=2 2>/dev/null 3>&-
	at head unshare --uts sh -c 'hostname head; exec slurmctld -i' 3>&-
	for i in 1 2; do
		at "node$i" unshare --uts sh -c "hostname node$i; exec slurmd -N node$i" 3>&-
	done
	two_idle() { [ "$(at head sinfo --noheader --Node --states=idle | wc -l)" -eq 2 ]; }
	wait_until 60 two_idle
}

# Pictures one after the other, round and round, until there is a file 'enough': the stream is as long as the faults take.
feed() {
	local picture
	while :; do
		for picture in "$parts"/ring-*; do
			[ ! -e enough ] || return 0
			cat "$picture"
			sleep 0.03
		done
	done
}

# The head on the head's node, and one with that stream: head_sh WORKERS CAPTURE-ARGUMENT…, fed_head WORKERS
head_sh() {
	local insecure=1
	[ -z "$keys" ] || insecure=''
	HEAD=10.77.0.1 KEYS=$keys INSECURE=$insecure at head "$TOP/pipelines/slurm/head.sh" "$model" "$db" "$@" 2>head.log
}
fed_head() { feed | head_sh "$1" - --name cam; }

workers() { sql "$db" 'select count(distinct worker) from results where worker is not null'; }
workers_at_least() { [ "$(workers)" -ge "$1" ]; }
field() { # TASK NAME: of an array's element, by Slurm's word
	at head scontrol show job "${array}_$1" | grep -oP "\b$2=\K\S+"
}
again() { [ "$(field "$1" Restarts)" -gt 0 ] && [ "$(field "$1" JobState)" = RUNNING ]; }
on_node() { [ "$(field "$1" NodeList)" = "$2" ]; }
infer_of() { # TASK: the pid of its infer
	local pid
	for pid in $(ip netns pids "$net.$(field "$1" NodeList)"); do
		[ "$(cat "/proc/$pid/comm" 2>/dev/null)" = infer ] || continue
		tr '\0' '\n' <"/proc/$pid/environ" | grep -qx "SLURM_ARRAY_TASK_ID=$1" && echo "$pid"
	done
}
queue_empty() {
	local queue
	queue=$(at head squeue --noheader) && [ -z "$queue" ]
}
ended() { ! kill -0 "$1" 2>/dev/null; }

# Every picture once, with the scores that a calm line on one machine gives it.
complete() {
	local n
	n=$(rows "$db")
	[ "$n" -ge "$1" ]
	[ "$(sql "$db" 'select min(seq) || " " || max(seq) || " " || count(distinct seq) from results')" = "0 $((n - 1)) $n" ]
	[ "$(sql "$db" 'select emitted || " " || dropped || " " || ended from runs')" = "$n 0 1" ]
	sql "$db" 'select seq, label, scores from results order by seq' >got
	capture "$parts" | preprocess | infer -m "$model" | sink calm.db --quiet
	sql calm.db 'select label, scores from results order by seq' >calm
	awk -v n="$n" '{ row[NR - 1] = $0 } END { for (i = 0; i < n; i++) print i "|" row[i % NR] }' calm >want
	diff got want | head -n 6
	cmp got want
}

@test "workers of an array: one killed, one out of time, one behind a broken cable, over encrypted links; all come again, no row is lost" {
	keygen --name 10.77.0.1 keys 2>/dev/null
	keys=$BATS_TEST_TMPDIR/keys
	start HEAD_PID fed_head 3
	submitted() { array=$(grep -oP 'array \K[0-9]+' head.log); }
	wait_until 30 submitted
	submitted
	wait_until 60 workers_at_least 3
	for task in 1 2 3; do
		on_node "$task" node2 && cut=$task
	done
	[ -n "$cut" ]
	killed=$((cut % 3 + 1)) out_of_time=$(((cut + 1) % 3 + 1))

	kill -9 "$(infer_of "$killed")"
	# What --signal=B:TERM@60 does a minute before the end.
	at head scancel --signal=TERM --batch "${array}_$out_of_time"
	at head ip link set node2 down
	wait_until 60 again "$killed"
	wait_until 60 again "$out_of_time"
	wait_until 60 again "$cut"
	on_node "$cut" node1
	wait_until 60 workers_at_least 6
	at head ip link set node2 up
	touch enough
	wait_until 60 ended "$HEAD_PID"
	wait "$HEAD_PID" || { cat head.log; false; }
	wait_until 30 queue_empty
	complete 100
	grep -q 'infer was ended by signal 9: back into the queue' "andon-infer-${array}_$killed.log"
	grep -q 'its time is over, the stream is not: back into the queue' "andon-infer-${array}_$out_of_time.log"
	no_infer() { ! for node in node1 node2; do ip netns pids "$net.$node" | xargs -r -n 1 ps -o comm= -p; done | grep -qx infer; }
	wait_until 60 no_infer
}

@test "a short stream ends all: workers that had no place yet are taken out of the queue" {
	head_sh 9 "$parts" --name cam # five places
	wait_until 30 queue_empty
	complete 60
}

@test "what is wrong at the head ends all at once, with its exit code" {
	run -66 head_sh 2 "$BATS_TEST_TMPDIR/no-such-folder"
	wait_until 30 queue_empty
	grep -q 'no-such-folder' head.log
	SBATCH=--partition=nowhere run ! head_sh 2 "$parts"
	grep -q 'invalid partition' head.log
	# Neither keys nor the word that there shall be none.
	HEAD=10.77.0.1 run ! at head "$TOP/pipelines/slurm/head.sh" "$model" "$db" 2 "$parts"
	[[ $output == *insecure* ]]
	[ -z "$(ip netns pids "$net.head" | xargs -r -n 1 ps -o comm= -p | grep -xE 'capture|preprocess|sink')" ]
}

@test "workers that all fail end the head, which says where they say why" {
	model=$BATS_TEST_TMPDIR/none.onnx
	echo nonsense >none.onnx
	run -75 head_sh 2 "$parts"
	grep -q 'all workers have ended, the stream has not; andon-infer-1_\*.log say why' head.log
	grep -q none.onnx andon-infer-1_1.log
	[ -z "$(ip netns pids "$net.head" | xargs -r -n 1 ps -o comm= -p | grep -xE 'capture|preprocess|sink|sleep')" ]
}

@test "SIGTERM of the head: what was taken in is finished, the array ends" {
	start HEAD_PID fed_head 2
	wait_until 60 workers_at_least 2
	# Of those with this name the one that no other has begun.
	pid=$(ip netns pids "$net.head" | xargs -n 1 ps -o pid=,ppid=,args= -p |
		awk '/head\.sh/ { parent[$1] = $2 } END { for (p in parent) if (!(parent[p] in parent)) print p }')
	kill -TERM "$pid"
	wait_until 60 ended "$HEAD_PID"
	wait "$HEAD_PID" || { cat head.log; false; }
	touch enough
	wait_until 30 queue_empty
	complete 2
}
