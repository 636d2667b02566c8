// The openai package of JavaScript against a server of ours:
//   node openai_client.mjs http://127.0.0.1:8080/v1 NAME
import assert from 'node:assert'
import OpenAI from 'openai'

const [baseURL, model] = process.argv.slice(2)
const client = new OpenAI({ baseURL, apiKey: 'none', maxRetries: 0 })
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
const vectors = await client.embeddings.create({ model, input: ['a dog', 'a cat'] })
assert.equal(vectors.data.length, 2)

await assert.rejects(client.chat.completions.create({ ...ask, model: 'nope' }), (e) => e.status === 404)
await assert.rejects(client.chat.completions.create({ ...ask, messages: [] }), (e) => e.status === 400)
console.log('all as asked')
