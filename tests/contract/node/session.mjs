// What a Node application says to the API with OpenAI's own SDK. Prints one JSON object with all that came back;
// tests/contract/test_node_sdk.py judges it.
import OpenAI from "openai";

const { BASE_URL: baseURL, API_KEY: apiKey, MODEL: model, EMBEDDING_MODEL: embeddingModel } = process.env;
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0, timeout: 60_000 });
const capital = [{ role: "user", content: "What is the capital of France?" }];
const weather = [{ role: "user", content: "What is the weather in Boston?" }];
const tools = [
  {
    type: "function",
    function: {
      name: "get_weather",
      description: "The weather in a city",
      parameters: {
        type: "object",
        properties: { location: { type: "string" } },
        required: ["location"],
        additionalProperties: false,
      },
    },
  },
];

async function refused(request) {
  try {
    await request();
  } catch (error) {
    const { status, code, type, param, requestID, message } = error;
    return { name: error.constructor.name, status, code, type, param, requestID, message };
  }
  return null;
}

const told = {};

const { data: chat, request_id } = await client.chat.completions
  .create({ model, messages: capital, temperature: 0 })
  .withResponse();
told.chat = { text: chat.choices[0].message.content, usage: chat.usage, request_id };

told.stream = { text: "", finish: [], usage: null };
const stream = await client.chat.completions.create({
  model,
  messages: capital,
  temperature: 0,
  stream: true,
  stream_options: { include_usage: true },
});
for await (const chunk of stream) {
  told.stream.text += chunk.choices[0]?.delta.content ?? "";
  if (chunk.choices[0]?.finish_reason) told.stream.finish.push(chunk.choices[0].finish_reason);
  told.stream.usage ??= chunk.usage;
}

const runner = client.chat.completions.stream({ model, messages: weather, tools, temperature: 0 });
const called = await runner.finalChatCompletion();
told.tools = { calls: called.choices[0].message.tool_calls, finish: called.choices[0].finish_reason };

const left = await client.chat.completions.create({ model, messages: capital, stream: true });
for await (const _ of left) break;
told.left = left.controller.signal.aborted;

const vectors = await client.embeddings.create({ model: embeddingModel, input: ["a cat", "a dog"] });
told.embeddings = {
  lengths: vectors.data.map((one) => Math.hypot(...one.embedding)),
  dimensions: vectors.data[0].embedding.length,
  usage: vectors.usage,
};

told.models = [];
for await (const one of client.models.list()) told.models.push(one.id);
told.model = (await client.models.retrieve(model)).id;

const verdict = await client.moderations.create({ input: "I will kill you." });
told.moderation = { id: verdict.id, model: verdict.model, result: verdict.results[0] };

told.legacy = (await client.completions.create({ model, prompt: "Once", max_tokens: 4 })).object;

const keyed = () =>
  client.chat.completions
    .create({ model, messages: capital }, { headers: { "Idempotency-Key": "node-1" } })
    .withResponse();
const [first, second] = [await keyed(), await keyed()];
told.keyed = {
  same: first.data.id === second.data.id,
  replayed: second.response.headers.get("idempotent-replayed"),
};

told.errors = {
  key: await refused(() => new OpenAI({ baseURL, apiKey: "sk-wrong", maxRetries: 0 }).models.list()),
  model: await refused(() => client.chat.completions.create({ model: "gpt-none", messages: capital })),
  parameter: await refused(() => client.chat.completions.create({ model, messages: capital, temperature: 9 })),
  stream: await refused(() => client.chat.completions.create({ model, messages: [], stream: true })),
  deletion: await refused(() => client.models.delete(model)),
};

console.log(JSON.stringify(told));
