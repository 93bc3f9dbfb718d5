// One network in ONNX Runtime: times of single runs and memory, as one line of JSON.
//   node ort.js MODEL THREADS RUNS SHAPE       SHAPE as [1,3,224,224]; the module is looked for in NODE_PATH
const before = process.memoryUsage.rss();
const ort = require('onnxruntime-node');
const [model, threads, runs, text] = process.argv.slice(2);

async function main() {
  const options = { intraOpNumThreads: +threads, interOpNumThreads: 1, logSeverityLevel: 3 };
  const started = process.hrtime.bigint();
  const session = await ort.InferenceSession.create(model, options);
  const shape = JSON.parse(text);
  const values = new Float32Array(shape.reduce((a, b) => a * b, 1)).map((_, i) => ((i * 2654435761) % 1000) / 500 - 1);
  const feeds = { [session.inputNames[0]]: new ort.Tensor('float32', values, shape) };
  await session.run(feeds);
  const ready = Number(process.hrtime.bigint() - started) / 1e6;
  for (let i = 0; i < 3; i++) await session.run(feeds);
  const times = [];
  for (let i = 0; i < +runs; i++) {
    const begin = process.hrtime.bigint();
    await session.run(feeds);
    times.push(Number(process.hrtime.bigint() - begin) / 1e6);
  }
  times.sort((a, b) => a - b);
  const peak = process.resourceUsage().maxRSS;
  console.log(JSON.stringify({ min_ms: times[0], median_ms: times[times.length >> 1], ready_ms: ready, peak_rss_kb: peak,
    base_rss_kb: Math.round(before / 1024) }));
}

main().catch((error) => {
  console.error(String(error));
  process.exit(1);
});
