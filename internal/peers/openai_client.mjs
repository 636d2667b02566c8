// The openai package of JavaScript against a server of ours:
//   OPENAI_API_KEY=none node openai_client.mjs http://127.0.0.1:8080/v1 NAME
import assert from 'node:assert'
import OpenAI from 'openai'

const [baseURL, model] = process.argv.slice(2)
const client = new OpenAI({ baseURL, maxRetries: 0 })
const messages = [{ role: 'user', content: 'How is the weather in Paris?' }]
const ask = { model, messages, temperature: 0, max_tokens: 60 }

assert.equal((await client.models.list()).data[0].id, model)

// Chats: a stream says what the whole answer says.
const whole = await client.chat.completions.create({ ...ask, logprobs: true, top_logprobs: 2 })
assert(whole.choices[0].logprobs.content.length > 0)
let text = '', usage
for await (const chunk of await client.chat.completions.create({ ...ask, stream: true, stream_options: { include_usage: true } })) {
  text += chunk.choices[0]?.delta?.content ?? ''
  usage = chunk.usage ?? usage
}
assert.equal(text, whole.choices[0].message.content)
assert.equal(usage.completion_tokens, whole.usage.completion_tokens)

// Answers bound to a schema.
const schema = { type: 'object', properties: { good: { type: 'boolean' } }, required: ['good'], additionalProperties: false }
const bound = await client.chat.completions.create({ ...ask, response_format: { type: 'json_schema', json_schema: { name: 'answer', strict: true, schema } } })
assert.equal(typeof JSON.parse(bound.choices[0].message.content).good, 'boolean')

// Tools, whole and streamed.
const parameters = { type: 'object', properties: { city: { enum: ['Paris', 'Rome'] } }, required: ['city'], additionalProperties: false }
const tools = [{ type: 'function', function: { name: 'weather', parameters } }]
const forced = { ...ask, tools, tool_choice: 'required' }
for (const answer of [await client.chat.completions.create(forced), await client.chat.completions.stream(forced).finalChatCompletion()]) {
  const call = answer.choices[0].message.tool_calls[0].function
  assert.equal(call.name, 'weather')
  assert(['Paris', 'Rome'].includes(JSON.parse(call.arguments).city))
}

const response = await client.responses.create({ model, input: 'Say hi.', max_output_tokens: 16 })
assert(response.output_text.length > 0)
let said = ''
for await (const event of await client.responses.create({ model, input: 'Say hi.', temperature: 0, max_output_tokens: 16, stream: true })) {
  if (event.type === 'response.output_text.delta') said += event.delta
}
assert.equal(said, (await client.responses.create({ model, input: 'Say hi.', temperature: 0, max_output_tokens: 16 })).output_text)

// A stream that is left; the server goes on.
const left = await client.chat.completions.create({ ...ask, max_tokens: 500, stream: true })
for await (const chunk of left) { left.controller.abort(); break }
assert.equal((await client.chat.completions.create({ ...ask, n: 2, stop: ['\n'] })).choices.length, 2)

const vectors = await client.embeddings.create({ model, input: ['a dog', 'a cat'] })
assert.equal(vectors.data.length, 2)

const refused = (change, kind, want) => assert.rejects(client.chat.completions.create({ ...ask, ...change }),
  (e) => e instanceof kind && e.status === want.status && e.code === want.code && e.param === want.param)
await refused({ model: 'nope' }, OpenAI.NotFoundError, { status: 404, code: 'model_not_found', param: 'model' })
await refused({ messages: [] }, OpenAI.BadRequestError, { status: 400, code: 'missing_required_parameter', param: 'messages' })
await refused({ temperature: 5 }, OpenAI.BadRequestError, { status: 400, code: 'decimal_above_max_value', param: 'temperature' })
await assert.rejects(new OpenAI({ baseURL, apiKey: 'wrong', maxRetries: 0 }).models.list(), OpenAI.AuthenticationError)
console.log('all as asked')
