// Package chat holds conversations with a model: it turns messages into the
// prompt that the model was trained on, and what the model writes back into
// reasoning, content and tool calls.
//
// A Template renders messages with the Jinja template of the model's file, as
// transformers' apply_chat_template does. A Parser splits the text that comes
// out of a generation, while it comes. Messages, tools and tool calls have the
// JSON form of OpenAI's chat API
// (https://platform.openai.com/docs/api-reference/chat).
//
// What users write never becomes a control token: see Template.Encode.
package chat
